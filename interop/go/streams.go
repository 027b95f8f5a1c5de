// JetStream, key-value and object store through the Go client.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const soak = 20 * time.Second

func streams() {
	s := start("jetstream")
	defer s.stop()
	nc := s.connect()
	defer nc.Close()
	js := must(jetstream.New(nc))
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Second)
	defer cancel()

	stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "GO", Subjects: []string{"go.>"}}))
	for i := range 20 {
		ack := must(js.Publish(ctx, fmt.Sprintf("go.%d", i%3), []byte(fmt.Sprint(i))))
		check(ack.Sequence == uint64(i+1), "sequence %d", ack.Sequence)
	}
	consumer := must(stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "durable", AckPolicy: jetstream.AckExplicitPolicy}))
	batch := must(consumer.Fetch(5, jetstream.FetchMaxWait(5*time.Second)))
	next := uint64(1)
	for m := range batch.Messages() {
		check(must(m.Metadata()).Sequence.Stream == next, "order")
		check(m.DoubleAck(ctx) == nil, "ack")
		next++
	}
	info := must(consumer.Info(ctx))
	check(info.AckFloor.Stream == 5 && info.NumPending == 15, "%+v", info)
	ordered := must(stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"go.1"}}))
	check(string(must(ordered.Next()).Data()) == "1", "ordered")

	kv := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "GOKV", History: 3}))
	check(must(kv.PutString(ctx, "a", "1")) == 1, "put")
	check(must(kv.Update(ctx, "a", []byte("2"), 1)) == 2, "update")
	_, err := kv.Create(ctx, "a", nil)
	check(errors.Is(err, jetstream.ErrKeyExists), "%v", err)
	check(string(must(kv.Get(ctx, "a")).Value()) == "2", "get")
	check(kv.Purge(ctx, "a") == nil, "purge")
	_, err = kv.Get(ctx, "a")
	check(errors.Is(err, jetstream.ErrKeyNotFound), "%v", err)

	store := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "GOOBJ"}))
	data := bytes.Repeat([]byte("0123456789"), 40_000)
	must(store.PutBytes(ctx, "file", data))
	check(bytes.Equal(must(store.GetBytes(ctx, "file")), data), "object")

	soaked(ctx, js)
}

// soaked publishes and consumes for a while: everything arrives once, in order.
func soaked(ctx context.Context, js jetstream.JetStream) {
	stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "GOSOAK", Subjects: []string{"gosoak"}, MaxMsgs: 1_000_000}))
	consumer := must(stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "soak", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000}))
	got, all := uint64(0), make(chan uint64, 1)
	last := make(chan uint64, 1)
	running := must(consumer.Consume(func(m jetstream.Msg) {
		got++
		check(must(m.Metadata()).Sequence.Stream == got, "order")
		m.Ack()
		select {
		case want := <-last:
			last <- want
			if got == want {
				all <- got
			}
		default:
		}
	}))
	defer running.Stop()
	sent := uint64(0)
	for end := time.Now().Add(soak); time.Now().Before(end); {
		for range 200 {
			must(js.PublishAsync("gosoak", []byte("x")))
			sent++
		}
		<-js.PublishAsyncComplete()
	}
	last <- sent + 1
	must(js.Publish(ctx, "gosoak", []byte("last")))
	select {
	case n := <-all:
		fmt.Printf("go soak: %d messages\n", n)
	case <-time.After(30 * time.Second):
		panic(fmt.Sprintf("got %d of %d", got, sent+1))
	}
}
