package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	quic "github.com/lucas-clemente/quic-go"
	"github.com/lucas-clemente/quic-go/h2quic"
)

const (
	maxParallel = 1000
	maxRequests = 10_000_000
)

// httpClient is one h2quic transport: at most one connection for each authority.
type httpClient struct {
	transport *h2quic.RoundTripper
	mutex     sync.Mutex
	version   string
}

func newHTTPClient(d *dialer) *httpClient {
	client := &httpClient{}
	client.transport = &h2quic.RoundTripper{
		DisableCompression: true,
		TLSClientConfig:    d.tls,
		QuicConfig:         d.config,
		Dial: func(_, authority string, _ *tls.Config, _ *quic.Config) (quic.Session, error) {
			host, _, err := net.SplitHostPort(authority)
			if err != nil {
				return nil, err
			}
			session, err := d.dial(host)
			if err == nil {
				client.mutex.Lock()
				client.version = versionOf(session)
				client.mutex.Unlock()
			}
			return session, err
		},
	}
	return client
}

// negotiated is the version of the connection opened last.
func (c *httpClient) negotiated() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.version
}

// request is what to send. A negative dataBytes means no body.
type request struct {
	method    string
	url       string
	dataBytes int64
}

// result is what came back.
type result struct {
	URL        string      `json:"url"`
	Version    string      `json:"version,omitempty"`
	Status     int         `json:"status,omitempty"`
	Headers    [][2]string `json:"headers,omitempty"`
	BodyLength int64       `json:"bodyLength"`
	SHA256     string      `json:"sha256,omitempty"`
	MS         float64     `json:"ms"`
	Error      string      `json:"error,omitempty"`
}

func (r *result) good() bool { return r.Error == "" && r.Status >= 200 && r.Status <= 299 }

// send makes one request and reads the answer to its end; digest asks for the body's hash.
func (c *httpClient) send(r request, digest bool) result {
	started := time.Now()
	outcome := c.exchange(r, digest)
	outcome.URL = r.url
	outcome.Version = c.negotiated()
	outcome.MS = float64(time.Since(started).Microseconds()) / 1000
	return outcome
}

func (c *httpClient) exchange(r request, digest bool) (outcome result) {
	var body io.Reader
	if r.dataBytes >= 0 {
		body = io.NopCloser(&patternReader{length: r.dataBytes})
	}
	req, err := http.NewRequestWithContext(context.Background(), r.method, r.url, body)
	if err != nil {
		outcome.Error = err.Error()
		return
	}
	if r.dataBytes > 0 {
		req.ContentLength = r.dataBytes
	}
	response, err := c.transport.RoundTrip(req)
	if err != nil {
		outcome.Error = err.Error()
		return
	}
	// Closing the body ends our side of the stream; h2quic does it nowhere else, not even for a GET.
	defer response.Body.Close()
	outcome.Status = response.StatusCode
	outcome.Headers = pairs(response.Header)
	hash := sha256.New()
	sink := io.Discard
	if digest {
		sink = hash
	}
	outcome.BodyLength, err = io.Copy(sink, response.Body)
	if err != nil {
		outcome.Error = err.Error()
	} else if r.method != http.MethodHead && response.ContentLength >= 0 && outcome.BodyLength != response.ContentLength {
		outcome.Error = fmt.Sprintf("content-length is %d, but %d bytes came", response.ContentLength, outcome.BodyLength)
	}
	if digest {
		outcome.SHA256 = hex.EncodeToString(hash.Sum(nil))
	}
	return
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return badUsage("%q: expected an https URL", text)
	}
	return nil
}

func runClient(args []string) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	var dial dialFlags
	dial.register(flags)
	parallel := flags.Int("parallel", 1, "requests under way at a time, all on one connection")
	repeat := flags.Int("repeat", 1, "how often each URL is requested")
	method := flags.String("method", "", "request method (default: GET, with --data-bytes POST)")
	dataBytes := flags.Int64("data-bytes", -1, "length of the request's body")
	timeout := flags.Duration("timeout", time.Minute, "end with an error if not all is done after this time")
	cpu := flags.Bool("cpu", false, "print the processor time used as the last line")
	if err := parse(flags, args); err != nil {
		return err
	}
	dialer, err := dial.dialer()
	if err != nil {
		return err
	}
	switch {
	case flags.NArg() == 0:
		return badUsage("expected at least one URL")
	case *parallel < 1 || *parallel > maxParallel:
		return badUsage("--parallel %d: expected 1 to %d", *parallel, maxParallel)
	case *repeat < 1 || *repeat > maxRequests/flags.NArg():
		return badUsage("--repeat %d: expected 1 to %d", *repeat, maxRequests/flags.NArg())
	}
	for _, text := range flags.Args() {
		if err := checkURL(text); err != nil {
			return err
		}
	}
	if *method == "" {
		*method = http.MethodGet
		if *dataBytes >= 0 {
			*method = http.MethodPost
		}
	}

	client := newHTTPClient(dialer)
	jobs := make(chan request)
	var workers sync.WaitGroup
	var mutex sync.Mutex
	good := true
	for i := 0; i < *parallel; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for job := range jobs {
				outcome := client.send(job, true)
				printJSON(outcome)
				mutex.Lock()
				good = good && outcome.good()
				mutex.Unlock()
			}
		}()
	}
	done := make(chan struct{})
	go func() {
		for i := 0; i < *repeat; i++ {
			for _, text := range flags.Args() {
				jobs <- request{*method, text, *dataBytes}
			}
		}
		close(jobs)
		workers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(*timeout):
		return fmt.Errorf("not done after %v", *timeout)
	}
	if err := client.transport.Close(); err != nil {
		return err
	}
	if *cpu {
		printJSON(map[string]interface{}{"event": "done", "cpuSeconds": cpuSeconds()})
	}
	if !good {
		return errSomeFailed
	}
	return nil
}
