// What users do with buckets and consumers, through the Go client.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func buckets() {
	s := start("jetstream")
	defer s.stop()
	nc := s.connect()
	defer nc.Close()
	js := must(jetstream.New(nc))
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	watches(ctx, js)
	expiries(ctx, js)
	objects(ctx, js)
	consumers(ctx, js)
	publishing(ctx, js)
}

// update is the next thing a watcher tells; nothing for the mark that all of what was there came.
func update(w jetstream.KeyWatcher) string {
	select {
	case e := <-w.Updates():
		if e == nil {
			return "(caught up)"
		}
		return fmt.Sprintf("%s %s %s", e.Operation(), e.Key(), e.Value())
	case <-time.After(5 * time.Second):
		return "(nothing)"
	}
}

func watches(ctx context.Context, js jetstream.JetStream) {
	kv := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "GOWATCH", History: 5}))
	for i := range 3 {
		must(kv.PutString(ctx, "a.x", fmt.Sprint(i)))
	}
	must(kv.PutString(ctx, "a.y", "y"))
	must(kv.PutString(ctx, "b", "b"))
	expect := func(w jetstream.KeyWatcher, wanted ...string) {
		for _, want := range wanted {
			got := update(w)
			check(got == want, "watch: %q, not %q", got, want)
		}
		check(w.Stop() == nil, "stop")
	}
	expect(must(kv.WatchAll(ctx)), "KeyValuePutOp a.x 2", "KeyValuePutOp a.y y", "KeyValuePutOp b b", "(caught up)")
	expect(must(kv.Watch(ctx, "a.*", jetstream.MetaOnly())), "KeyValuePutOp a.x ", "KeyValuePutOp a.y ", "(caught up)")
	expect(must(kv.Watch(ctx, "a.x", jetstream.IncludeHistory())),
		"KeyValuePutOp a.x 0", "KeyValuePutOp a.x 1", "KeyValuePutOp a.x 2", "(caught up)")
	expect(must(kv.WatchAll(ctx, jetstream.ResumeFromRevision(4))), "KeyValuePutOp a.y y", "KeyValuePutOp b b", "(caught up)")
	live := must(kv.Watch(ctx, ">", jetstream.UpdatesOnly()))
	must(kv.PutString(ctx, "c", "c"))
	check(kv.Delete(ctx, "c") == nil, "delete")
	check(kv.Purge(ctx, "a.x") == nil, "purge")
	expect(live, "KeyValuePutOp c c", "KeyValueDeleteOp c ", "KeyValuePurgeOp a.x ")
	history := must(kv.History(ctx, "a.x"))
	check(len(history) == 1 && history[0].Operation() == jetstream.KeyValuePurge, "history: %v", history)
	keys := must(kv.Keys(ctx))
	check(fmt.Sprint(keys) == "[a.y b]", "keys: %v", keys)
	check(kv.Delete(ctx, "b", jetstream.LastRevision(1)) != nil, "deleted in spite of the revision")
	check(kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)) == nil, "purge of markers")
	status := must(kv.Status(ctx))
	check(status.Values() == 2 && status.History() == 5, "status: %d", status.Values())
	must(kv.GetRevision(ctx, "a.y", 4))
	_, err := kv.GetRevision(ctx, "a.y", 1)
	check(errors.Is(err, jetstream.ErrKeyNotFound), "%v", err)
	check(js.DeleteKeyValue(ctx, "GOWATCH") == nil, "delete of the bucket")
	_, err = js.KeyValue(ctx, "GOWATCH")
	check(errors.Is(err, jetstream.ErrBucketNotFound), "%v", err)
}

func expiries(ctx context.Context, js jetstream.JetStream) {
	kv := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "GOTTL", TTL: time.Second, Storage: jetstream.MemoryStorage}))
	must(kv.Create(ctx, "k", []byte("1")))
	_, err := kv.Create(ctx, "k", []byte("2"))
	check(errors.Is(err, jetstream.ErrKeyExists), "%v", err)
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err = kv.Get(ctx, "k"); errors.Is(err, jetstream.ErrKeyNotFound) {
			break
		}
		check(time.Now().Before(end), "the key never expires")
	}
	must(kv.Create(ctx, "k", []byte("3")))
}

func objects(ctx context.Context, js jetstream.JetStream) {
	store := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "GOBIG", Metadata: map[string]string{"a": "b"}}))
	watcher := must(store.Watch(ctx, jetstream.UpdatesOnly()))
	big := bytes.Repeat([]byte("0123456789abcdef"), 512*1024)
	info := must(store.Put(ctx, jetstream.ObjectMeta{Name: "big", Description: "words", Headers: map[string][]string{"H": {"v"}}}, bytes.NewReader(big)))
	check(info.Chunks == 64 && info.Size == uint64(len(big)), "%+v", info)
	check(bytes.Equal(must(store.GetBytes(ctx, "big")), big), "big object")
	link := must(store.AddLink(ctx, "alias", info))
	check(link.Opts.Link.Name == "big", "%+v", link)
	check(bytes.Equal(must(store.GetBytes(ctx, "alias")), big), "through the link")
	other := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "GOOTHER"}))
	must(store.AddBucketLink(ctx, "bucket", other))
	must(store.PutString(ctx, "big", "small now"))
	check(must(store.GetString(ctx, "alias")) == "small now", "after the change")
	check(store.UpdateMeta(ctx, "big", jetstream.ObjectMeta{Name: "renamed"}) == nil, "rename")
	check(store.Delete(ctx, "renamed") == nil, "delete")
	_, err := store.GetBytes(ctx, "renamed")
	check(errors.Is(err, jetstream.ErrObjectNotFound), "%v", err)
	names := map[string]bool{}
	for _, o := range must(store.List(ctx)) {
		names[o.Name] = true
	}
	check(len(names) == 2 && names["alias"] && names["bucket"], "list: %v", names)
	seen := 0
	for seen < 5 {
		select {
		case o := <-watcher.Updates():
			if o != nil {
				seen++
			}
		case <-time.After(5 * time.Second):
			panic(fmt.Sprintf("object watch: %d", seen))
		}
	}
	check(store.Seal(ctx) == nil, "seal")
	_, err = store.PutString(ctx, "late", "x")
	check(err != nil, "put into a sealed bucket")
}

func consumers(ctx context.Context, js jetstream.JetStream) {
	stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "GOC", Subjects: []string{"goc.>"}}))
	consumer := must(stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 500 * time.Millisecond, MaxDeliver: 3, BackOff: nil,
	}))
	begun := time.Now()
	empty := must(consumer.Fetch(1, jetstream.FetchMaxWait(300*time.Millisecond)))
	for range empty.Messages() {
		panic("a message from nowhere")
	}
	check(empty.Error() == nil && time.Since(begun) >= 250*time.Millisecond, "fetch: %v", empty.Error())
	for range must(consumer.FetchNoWait(5)).Messages() {
		panic("a message from nowhere")
	}
	for i := range 3 {
		must(js.Publish(ctx, fmt.Sprintf("goc.%d", i), []byte("x")))
	}
	// Waits longer than a heartbeat takes, and gets what is published meanwhile.
	messages := must(consumer.Messages(jetstream.PullExpiry(2*time.Second), jetstream.PullHeartbeat(500*time.Millisecond)))
	for deliveries := uint64(1); deliveries <= 3; deliveries++ {
		m := must(messages.Next())
		meta := must(m.Metadata())
		switch {
		case deliveries < 3 && meta.Sequence.Stream == 1:
			check(m.NakWithDelay(50*time.Millisecond) == nil, "nak")
		case meta.Sequence.Stream == 2:
			check(m.TermWithReason("enough") == nil, "term")
		default:
			check(m.InProgress() == nil && m.DoubleAck(ctx) == nil, "ack")
		}
	}
	again := must(must(messages.Next()).Metadata())
	check(again.Sequence.Stream == 1 && again.NumDelivered == 2, "%+v", again)
	go func() {
		time.Sleep(1200 * time.Millisecond)
		must(js.Publish(ctx, "goc.late", []byte("x")))
	}()
	for {
		m := must(messages.Next())
		m.Ack()
		if m.Subject() == "goc.late" {
			break
		}
	}
	messages.Stop()
	ordered := must(stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubjects: []string{"goc.>"}}))
	count := 0
	for range must(ordered.Fetch(5, jetstream.FetchMaxWait(2*time.Second))).Messages() {
		count++
	}
	check(count == 4, "ordered: %d", count)
	names := 0
	for range stream.ConsumerNames(ctx).Name() {
		names++
	}
	check(names >= 1, "consumer names")
}

func publishing(ctx context.Context, js jetstream.JetStream) {
	stream := must(js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "GOP", Subjects: []string{"gop.>"}, Duplicates: time.Second, MaxMsgsPerSubject: 2, AllowDirect: true, DenyDelete: false,
	}))
	first := must(js.Publish(ctx, "gop.a", nil, jetstream.WithMsgID("one")))
	twice := must(js.Publish(ctx, "gop.a", nil, jetstream.WithMsgID("one")))
	check(twice.Duplicate && twice.Sequence == first.Sequence, "%+v", twice)
	_, err := js.Publish(ctx, "gop.a", nil, jetstream.WithExpectLastSequence(7))
	var api *jetstream.APIError
	check(errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence, "%v", err)
	must(js.Publish(ctx, "gop.a", nil, jetstream.WithExpectLastSequencePerSubject(1), jetstream.WithExpectStream("GOP")))
	for end := time.Now().Add(10 * time.Second); ; {
		if !must(js.Publish(ctx, "gop.a", nil, jetstream.WithMsgID("one"))).Duplicate {
			break
		}
		check(time.Now().Before(end), "an id is remembered for ever")
	}
	check(must(stream.Info(ctx)).State.Msgs == 2, "limit per subject")
	must(js.Publish(ctx, "gop.b", []byte("b")))
	check(string(must(stream.GetLastMsgForSubject(ctx, "gop.b")).Data) == "b", "direct get")
	check(stream.Purge(ctx, jetstream.WithPurgeSubject("gop.a"), jetstream.WithPurgeKeep(1)) == nil, "purge")
	info := must(stream.Info(ctx))
	check(info.State.Msgs == 2 && info.State.NumSubjects == 2, "%+v", info.State)
}
