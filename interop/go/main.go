// The Go client (nats.go) against the server in NATS_SERVER_BIN.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const seed = "SUAHETHJ52HRC7GIPLO3A2HNYMTOPAG4B3XDWKBYVBPNB42PG5IEDKQW74"

type server struct {
	config string
	port   int
	cmd    *exec.Cmd
}

// check ends the program when something that must hold does not.
func check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func must[T any](v T, err error) T {
	check(err == nil, "%v", err)
	return v
}

func start(config string) *server {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	s := &server{config: config, port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	s.start()
	return s
}

func (s *server) start() {
	file := os.Getenv("INTEROP_CONFIGS") + "/" + s.config + ".conf"
	s.cmd = exec.Command(os.Getenv("NATS_SERVER_BIN"), "-c", file, "-a", "127.0.0.1", "-p", fmt.Sprint(s.port))
	stderr := must(s.cmd.StderrPipe())
	check(s.cmd.Start() == nil, "the server cannot be started")
	lines, log := bufio.NewScanner(stderr), ""
	for lines.Scan() {
		log += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "Server is ready") {
			go func() {
				for lines.Scan() {
				}
			}()
			return
		}
	}
	panic("the server did not start:\n" + log)
}

func (s *server) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *server) dial(options ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{nats.NoReconnect(), nats.Timeout(5 * time.Second)}, options...)
	return nats.Connect(fmt.Sprintf("nats://localhost:%d", s.port), all...)
}

func (s *server) connect(options ...nats.Option) *nats.Conn {
	return must(s.dial(options...))
}

func (s *server) refuses(options ...nats.Option) {
	nc, err := s.dial(options...)
	if err == nil {
		nc.Close()
	}
	check(err != nil, "not refused")
}

func echoWorks(nc *nats.Conn) {
	defer nc.Close()
	sub := must(nc.SubscribeSync("ok.echo"))
	check(nc.Publish("ok.echo", []byte("hello")) == nil, "publish")
	msg := must(sub.NextMsg(5 * time.Second))
	check(string(msg.Data) == "hello", "got %q", msg.Data)
}

func nkey() nats.Option {
	pair := must(nkeys.FromSeed([]byte(seed)))
	return nats.Nkey(must(pair.PublicKey()), pair.Sign)
}

func authentication() {
	s := start("plain")
	echoWorks(s.connect())
	s.stop()

	s = start("users")
	echoWorks(s.connect(nats.UserInfo("plain", "secret")))
	echoWorks(s.connect(nats.UserInfo("hashed", "foo")))
	echoWorks(s.connect())
	echoWorks(s.connect(nkey()))
	s.refuses(nats.UserInfo("plain", "wrong"))
	s.refuses(nats.UserInfo("nobody", "secret"))
	s.stop()

	s = start("token")
	echoWorks(s.connect(nats.Token("s3cr3t-t0k3n")))
	s.refuses(nats.Token("other"))
	s.refuses()
	s.stop()
}

func permissions() {
	s := start("users")
	defer s.stop()
	errs := make(chan error, 1)
	nc := s.connect(nats.UserInfo("narrow", "secret"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		errs <- err
	}))
	defer nc.Close()
	nc.Publish("no.thanks", nil)
	select {
	case err := <-errs:
		check(errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "no.thanks"), "%v", err)
	case <-time.After(5 * time.Second):
		panic("no permission violation")
	}
}

func publishSubscribe() {
	s := start("plain")
	defer s.stop()
	nc := s.connect()
	defer nc.Close()
	sub := must(nc.SubscribeSync("a.*.c"))
	check(sub.AutoUnsubscribe(2) == nil, "auto unsubscribe")
	one := nats.NewMsg("a.b.c")
	one.Header.Set("Key", "value")
	one.Data = []byte("one")
	nc.PublishMsg(one)
	nc.Publish("a.b.d", []byte("not this"))
	nc.PublishRequest("a.x.c", "back", []byte("two"))
	nc.Publish("a.y.c", []byte("after the limit"))
	first, second := must(sub.NextMsg(5*time.Second)), must(sub.NextMsg(5*time.Second))
	check(string(first.Data) == "one" && first.Header.Get("Key") == "value", "first: %v", first)
	check(string(second.Data) == "two" && second.Reply == "back", "second: %v", second)
	_, err := sub.NextMsg(200 * time.Millisecond)
	check(err != nil, "a third message")
}

func requests() {
	s := start("plain")
	defer s.stop()
	nc, service := s.connect(), s.connect()
	defer nc.Close()
	defer service.Close()
	service.Subscribe("service", func(m *nats.Msg) { m.Respond(append([]byte("re: "), m.Data...)) })
	service.Subscribe("silent", func(*nats.Msg) {})
	check(service.Flush() == nil, "flush")
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			reply := must(nc.Request("service", fmt.Append(nil, i), 5*time.Second))
			check(string(reply.Data) == fmt.Sprintf("re: %d", i), "got %q", reply.Data)
		}()
	}
	wait.Wait()
	_, err := nc.Request("nobody", nil, 5*time.Second)
	check(errors.Is(err, nats.ErrNoResponders), "%v", err)
	_, err = nc.Request("silent", nil, 200*time.Millisecond)
	check(errors.Is(err, nats.ErrTimeout), "%v", err)
}

func queueGroups() {
	s := start("plain")
	defer s.stop()
	var counts [3]atomic.Int64
	var members []*nats.Conn
	for i := range counts {
		nc := s.connect()
		nc.QueueSubscribe("work", "workers", func(*nats.Msg) { counts[i].Add(1) })
		check(nc.Flush() == nil, "flush")
		members = append(members, nc)
	}
	publisher := s.connect()
	defer publisher.Close()
	for range 300 {
		publisher.Publish("work", []byte("x"))
	}
	check(publisher.Flush() == nil, "flush")
	sum := int64(0)
	for i, nc := range members {
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		check(nc.Flush() == nil && nc.Drain() == nil, "drain")
		<-closed
		check(counts[i].Load() > 50, "member %d got %d", i, counts[i].Load())
		sum += counts[i].Load()
	}
	check(sum == 300, "sum %d", sum)
}

func drain() {
	s := start("plain")
	defer s.stop()
	closed := make(chan struct{})
	nc, publisher := s.connect(nats.ClosedHandler(func(*nats.Conn) { close(closed) })), s.connect()
	defer publisher.Close()
	var got atomic.Int64
	nc.Subscribe("d", func(*nats.Msg) {
		time.Sleep(200 * time.Microsecond)
		got.Add(1)
	})
	nc.Flush()
	for range 500 {
		publisher.Publish("d", nil)
	}
	publisher.Flush()
	check(nc.Drain() == nil, "drain")
	<-closed
	check(got.Load() == 500, "got %d", got.Load())
}

func reconnect() {
	s := start("plain")
	back := make(chan struct{})
	nc := must(nats.Connect(fmt.Sprintf("nats://localhost:%d", s.port), nats.ReconnectWait(50*time.Millisecond),
		nats.MaxReconnects(200), nats.ReconnectHandler(func(*nats.Conn) { close(back) })))
	defer nc.Close()
	sub := must(nc.SubscribeSync("again"))
	nc.Flush()
	s.stop()
	s.start()
	defer s.stop()
	<-back
	nc.Publish("again", []byte("still here"))
	check(string(must(sub.NextMsg(5*time.Second)).Data) == "still here", "lost")
}

func tls() {
	ca := nats.RootCAs(os.Getenv("IRONATS_CA"))
	s := start("tls")
	echoWorks(s.connect(ca))
	s.refuses()
	s.stop()

	s = start("tls_first")
	echoWorks(s.connect(ca, nats.TLSHandshakeFirst()))
	s.stop()

	s = start("tls_map")
	echoWorks(s.connect(ca, nats.ClientCert(os.Getenv("IRONATS_CLIENT_CERT"), os.Getenv("IRONATS_CLIENT_KEY"))))
	s.refuses(ca)
	s.stop()
}

func largePayloads() {
	s := start("plain")
	defer s.stop()
	nc := s.connect()
	defer nc.Close()
	check(nc.MaxPayload() == 1<<20, "max payload %d", nc.MaxPayload())
	sub := must(nc.SubscribeSync("large"))
	for _, size := range []int{0, 1, 100_000, 1 << 20} {
		body := make([]byte, size)
		rand.Read(body)
		check(nc.Publish("large", body) == nil, "publish %d", size)
		check(bytes.Equal(must(sub.NextMsg(10*time.Second)).Data, body), "size %d differs", size)
	}
	err := nc.Publish("large", make([]byte, 1<<20+1))
	check(errors.Is(err, nats.ErrMaxPayload), "%v", err)
}

func manySubscriptions() {
	const count = 10_000
	s := start("plain")
	defer s.stop()
	nc, publisher := s.connect(), s.connect()
	defer nc.Close()
	defer publisher.Close()
	var got sync.Map
	var n atomic.Int64
	all := make(chan struct{})
	inbox := make(chan *nats.Msg, count)
	for i := range count {
		must(nc.ChanSubscribe(fmt.Sprintf("many.%d", i), inbox))
	}
	go func() {
		for m := range inbox {
			if _, twice := got.LoadOrStore(m.Subject, true); !twice && n.Add(1) == count {
				close(all)
			}
		}
	}()
	check(nc.Flush() == nil, "flush")
	for i := range count {
		publisher.Publish(fmt.Sprintf("many.%d", i), nil)
	}
	check(publisher.Flush() == nil, "flush")
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		panic(fmt.Sprintf("got %d", n.Load()))
	}
}

func main() {
	tests := []struct {
		name string
		run  func()
	}{
		{"authentication", authentication}, {"permissions", permissions}, {"publishSubscribe", publishSubscribe},
		{"requests", requests}, {"queueGroups", queueGroups}, {"drain", drain}, {"reconnect", reconnect},
		{"tls", tls}, {"largePayloads", largePayloads}, {"manySubscriptions", manySubscriptions}, {"streams", streams},
		{"buckets", buckets},
	}
	for _, test := range tests {
		began := time.Now()
		late := time.AfterFunc(90*time.Second, func() { panic(test.name + " took too long") })
		test.run()
		late.Stop()
		fmt.Printf("go     %-20s ok %.2f s\n", test.name, time.Since(began).Seconds())
	}
}
