package main

import (
	"bufio"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const maxConnections = 10_000

// summary is what a run of the load generator prints. Times in milliseconds; CPU is this process's own.
type summary struct {
	Event           string  `json:"event"`
	Mode            string  `json:"mode"`
	Version         string  `json:"version"`
	Connections     int     `json:"connections"`
	Streams         int     `json:"streams"`
	Done            int     `json:"done"`
	Failed          int     `json:"failed"`
	FirstError      string  `json:"firstError,omitempty"`
	Seconds         float64 `json:"seconds"`
	PerSecond       float64 `json:"perSecond"`
	BytesReceived   int64   `json:"bytesReceived"`
	BytesSent       int64   `json:"bytesSent"`
	MegabytesPerSec float64 `json:"megabytesPerSecond"`
	P50             float64 `json:"p50"`
	P99             float64 `json:"p99"`
	P999            float64 `json:"p999"`
	CPUSeconds      float64 `json:"cpuSeconds"`
	TimedOut        bool    `json:"timedOut"`
}

// load is one measurement: its workers take numbers until all are taken, time is up, or everything fails.
type load struct {
	left      int64
	deadline  time.Time
	mutex     sync.Mutex
	latencies []float64
	summary   summary
}

// next tells whether another one may start.
func (l *load) next() bool {
	return atomic.AddInt64(&l.left, -1) >= 0 && time.Now().Before(l.deadline)
}

func (l *load) add(ms float64, received, sent int64, failure string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.summary.BytesReceived += received
	if failure != "" {
		l.summary.Failed++
		if l.summary.FirstError == "" {
			l.summary.FirstError = failure
		}
		return
	}
	l.summary.Done++
	l.summary.BytesSent += sent
	l.latencies = append(l.latencies, ms)
}

// percentile of sorted values, nearest rank; 0 if there are none.
func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(share*float64(len(sorted)) + 0.999999)
	if rank < 1 {
		rank = 1
	}
	if rank > len(sorted) {
		rank = len(sorted)
	}
	return sorted[rank-1]
}

// run lets workers work and sums up. A worker is given its number. Latencies are lost with whoever hangs at the end
// of the time.
func (l *load) run(workers int, duration time.Duration, work func(worker int)) summary {
	cpu := cpuSeconds()
	started := time.Now()
	l.deadline = started.Add(duration)
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			work(worker)
		}(i)
	}
	go func() {
		group.Wait()
		close(done)
	}()
	hung := false
	select {
	case <-done:
	case <-time.After(duration + 10*time.Second):
		hung = true
	}
	seconds := time.Since(started).Seconds()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	s := l.summary
	s.Event = "done"
	s.Seconds = seconds
	s.CPUSeconds = cpuSeconds() - cpu
	s.PerSecond = float64(s.Done) / seconds
	s.MegabytesPerSec = float64(s.BytesReceived+s.BytesSent) / 1e6 / seconds
	s.TimedOut = hung || time.Now().After(l.deadline)
	sort.Float64s(l.latencies)
	s.P50, s.P99, s.P999 = percentile(l.latencies, 0.5), percentile(l.latencies, 0.99), percentile(l.latencies, 0.999)
	return s
}

func runBenchClient(args []string) error {
	flags := flag.NewFlagSet("bench-client", flag.ContinueOnError)
	var dial dialFlags
	dial.register(flags)
	connections := flags.Int("connections", 1, "connections")
	streams := flags.Int("streams", 1, "requests under way at a time on each connection")
	requests := flags.Int("requests", 1000, "requests, or with --handshakes connections, in all")
	warmup := flags.Int("warmup", 0, "requests before measuring, not counted")
	duration := flags.Duration("duration", time.Minute, "start nothing new after this time")
	method := flags.String("method", "", "request method (default: GET, with --data-bytes POST)")
	dataBytes := flags.Int64("data-bytes", -1, "length of each request's body")
	wait := flags.Bool("wait-for-go", false, "when warm, wait for a line on standard input before measuring")
	handshakes := flags.Bool("handshakes", false,
		"measure full handshakes instead: connect, close, --connections at a time")
	if err := parse(flags, args); err != nil {
		return err
	}
	dialer, err := dial.dialer()
	if err != nil {
		return err
	}
	switch {
	case flags.NArg() != 1:
		return badUsage("expected one URL")
	case *connections < 1 || *connections > maxConnections:
		return badUsage("--connections %d: expected 1 to %d", *connections, maxConnections)
	case *streams < 1 || *streams > maxParallel:
		return badUsage("--streams %d: expected 1 to %d", *streams, maxParallel)
	case *requests < 1 || *requests > maxRequests:
		return badUsage("--requests %d: expected 1 to %d", *requests, maxRequests)
	case *warmup < 0 || *warmup > maxRequests:
		return badUsage("--warmup %d: expected 0 to %d", *warmup, maxRequests)
	case *duration <= 0 || *duration > time.Hour:
		return badUsage("--duration %v: expected up to 1h", *duration)
	}
	if err := checkURL(flags.Arg(0)); err != nil {
		return err
	}
	var outcome summary
	if *handshakes {
		outcome, err = benchHandshakes(dialer, flags.Arg(0), *connections, *requests, *duration)
	} else {
		if *method == "" {
			*method = http.MethodGet
			if *dataBytes >= 0 {
				*method = http.MethodPost
			}
		}
		job := request{*method, flags.Arg(0), *dataBytes}
		size := size{*connections, *streams, *requests, *warmup, *duration, *wait}
		outcome, err = benchRequests(dialer, job, size)
	}
	if err != nil {
		return err
	}
	printJSON(outcome)
	if outcome.Failed > 0 || outcome.TimedOut || outcome.Done == 0 {
		return errSomeFailed
	}
	return nil
}

// size says how much load to make.
type size struct {
	connections, streams, requests, warmup int
	duration                               time.Duration
	wait                                   bool
}

// benchRequests opens all connections with one request each, warms up, prints {"event":"warm"}, then measures.
func benchRequests(d *dialer, job request, o size) (summary, error) {
	clients := make([]*httpClient, o.connections)
	for i := range clients {
		clients[i] = newHTTPClient(d)
		defer clients[i].transport.Close()
		if first := clients[i].send(job, false); !first.good() {
			return summary{}, fmt.Errorf("connection %d: status %d %s", i+1, first.Status, first.Error)
		}
	}
	work := func(l *load) func(int) {
		return func(worker int) {
			client := clients[worker%o.connections]
			for l.next() {
				r := client.send(job, false)
				failure := r.Error
				if failure == "" && !r.good() {
					failure = fmt.Sprintf("status %d", r.Status)
				}
				sent := job.dataBytes
				if sent < 0 {
					sent = 0
				}
				l.add(r.MS, r.BodyLength, sent, failure)
				if r.Error != "" {
					return
				}
			}
		}
	}
	workers := o.connections * o.streams
	if o.warmup > 0 {
		warm := &load{left: int64(o.warmup)}
		if s := warm.run(workers, o.duration, work(warm)); s.Failed > 0 || s.TimedOut {
			return summary{}, fmt.Errorf("warming up: %d requests failed: %s", s.Failed, s.FirstError)
		}
	}
	version := clients[0].negotiated()
	printJSON(map[string]interface{}{"event": "warm", "version": version})
	if o.wait {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return summary{}, fmt.Errorf("waiting for a line on standard input: %w", err)
		}
	}
	l := &load{left: int64(o.requests)}
	l.summary = summary{Mode: "requests", Version: version, Connections: o.connections, Streams: o.streams}
	return l.run(workers, o.duration, work(l)), nil
}

// benchHandshakes opens and closes connections; quic-go keeps nothing of a server, so each is a full handshake.
func benchHandshakes(d *dialer, target string, parallel, count int, duration time.Duration) (summary, error) {
	u, err := url.Parse(target)
	if err != nil {
		return summary{}, err
	}
	l := &load{left: int64(count)}
	l.summary = summary{Mode: "handshakes", Connections: parallel}
	return l.run(parallel, duration, func(int) {
		for l.next() {
			started := time.Now()
			session, err := d.dial(u.Hostname())
			ms := float64(time.Since(started).Microseconds()) / 1000
			if err != nil {
				l.add(ms, 0, 0, err.Error())
				continue
			}
			l.add(ms, 0, 0, "")
			l.mutex.Lock()
			l.summary.Version = versionOf(session)
			l.mutex.Unlock()
			session.Close()
		}
	}), nil
}
