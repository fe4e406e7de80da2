package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lucas-clemente/quic-go/h2quic"
)

const (
	// Longest body that /echo holds.
	maxEcho = 64 << 20
	// Longest wait of /delay.
	maxDelay = time.Minute
)

// listenFlags are those of the commands that serve.
type listenFlags struct {
	transportFlags
	listen           string
	cert, key        string
	untilStdinCloses bool
}

func (l *listenFlags) register(flags *flag.FlagSet) {
	l.transportFlags.register(flags)
	flags.StringVar(&l.listen, "listen", "127.0.0.1:0", "UDP address; port 0 takes a free one")
	flags.StringVar(&l.cert, "cert", "", "certificate chain, PEM, leaf first (required)")
	flags.StringVar(&l.key, "key", "", "private key, PEM (required)")
	flags.BoolVar(&l.untilStdinCloses, "until-stdin-closes", false, "end when standard input ends")
}

// serve answers requests until told to stop, and says in a JSON line where it listens.
func (l *listenFlags) serve(handler http.Handler) error {
	config, err := l.config()
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(l.cert, l.key)
	if err != nil {
		return badUsage("--cert, --key: %v", err)
	}
	address, err := net.ResolveUDPAddr("udp", l.listen)
	if err != nil {
		return badUsage("--listen: %v", err)
	}
	socket, err := net.ListenUDP("udp", address)
	if err != nil {
		return err
	}
	defer socket.Close()
	server := &h2quic.Server{
		Server: &http.Server{
			Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveMended(handler, w, r) }),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		},
		QuicConfig: config,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	bound := socket.LocalAddr().(*net.UDPAddr)
	printJSON(map[string]interface{}{
		"event": "listening", "address": bound.IP.String(), "port": bound.Port, "versions": labels(config.Versions),
	})
	select {
	case err := <-ended:
		return err
	case <-closed(l.untilStdinCloses):
		cpu := cpuSeconds()
		err := server.Close()
		printJSON(map[string]interface{}{"event": "closed", "cpuSeconds": cpu})
		return err
	}
}

// serveMended hands a request on as net/http would have. h2quic says length 0 where the client told none, and takes
// the first WriteHeader, even of a 1xx, for the response.
func serveMended(handler http.Handler, w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && r.Header.Get("Content-Length") == "" {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			r.ContentLength = -1
		}
	}
	handler.ServeHTTP(finalOnly{w}, r)
}

type finalOnly struct{ http.ResponseWriter }

func (w finalOnly) WriteHeader(status int) {
	if status >= 200 {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w finalOnly) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

func runServer(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	var listen listenFlags
	listen.register(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return badUsage("unexpected argument %q", flags.Arg(0))
	}
	return listen.serve(http.HandlerFunc(answer))
}

func answer(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/bytes/"):
		answerBytes(w, r, strings.TrimPrefix(path, "/bytes/"))
	case path == "/echo":
		answerEcho(w, r)
	case path == "/headers":
		answerHeaders(w, r)
	case path == "/sha256":
		answerDigest(w, r)
	case path == "/discard":
		answerDiscard(w, r)
	case strings.HasPrefix(path, "/delay/"):
		answerDelay(w, r, strings.TrimPrefix(path, "/delay/"))
	default:
		answerText(w, r, http.StatusNotFound, "not found\n")
	}
}

// answerText answers with a whole body. h2quic does not hold back the body of a response to HEAD.
func answerText(w http.ResponseWriter, r *http.Request, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	answerWhole(w, r, status, []byte(text))
}

func answerWhole(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

func answerBytes(w http.ResponseWriter, r *http.Request, count string) {
	length, err := strconv.ParseInt(count, 10, 64)
	if err != nil || length < 0 {
		answerText(w, r, http.StatusBadRequest, "expected /bytes/N\n")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		(&patternReader{length: length}).WriteTo(w)
	}
}

// answerEcho reads everything before it answers: h2quic's client does not read before all is written, so that both
// would wait for each other's flow-control window.
func answerEcho(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEcho+1))
	if err != nil {
		answerText(w, r, http.StatusBadRequest, fmt.Sprintf("cannot read the body: %v\n", err))
		return
	}
	if len(body) > maxEcho {
		answerText(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("expected at most %d bytes\n", maxEcho))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	answerWhole(w, r, http.StatusOK, body)
}

func answerHeaders(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(map[string]interface{}{
		"method": r.Method, "path": r.RequestURI, "authority": r.Host, "headers": pairs(r.Header),
	})
	if err != nil {
		answerText(w, r, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	answerWhole(w, r, http.StatusOK, body)
}

func answerDigest(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	length, err := io.Copy(hash, r.Body)
	if err != nil {
		answerText(w, r, http.StatusBadRequest, fmt.Sprintf("cannot read the body: %v\n", err))
		return
	}
	w.Header().Set("X-Body-Length", strconv.FormatInt(length, 10))
	answerText(w, r, http.StatusOK, hex.EncodeToString(hash.Sum(nil)))
}

// answerDiscard takes an upload and tells its length, for benchmarks that measure nothing but the transfer.
func answerDiscard(w http.ResponseWriter, r *http.Request) {
	length, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		answerText(w, r, http.StatusBadRequest, fmt.Sprintf("cannot read the body: %v\n", err))
		return
	}
	answerText(w, r, http.StatusOK, strconv.FormatInt(length, 10))
}

func answerDelay(w http.ResponseWriter, r *http.Request, delay string) {
	ms, err := strconv.ParseInt(delay, 10, 32)
	wait := time.Duration(ms) * time.Millisecond
	if err != nil || ms < 0 || wait > maxDelay {
		answerText(w, r, http.StatusBadRequest, "expected /delay/MS, at most 60000\n")
		return
	}
	select {
	case <-time.After(wait):
		answerText(w, r, http.StatusOK, "waited "+delay+" ms\n")
	case <-r.Context().Done():
	}
}

// pairs lists header fields as [name, value], names in lower case and sorted: net/http does not keep their order.
func pairs(header http.Header) [][2]string {
	list := [][2]string{}
	for name, values := range header {
		for _, value := range values {
			list = append(list, [2]string{strings.ToLower(name), value})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i][0] < list[j][0] })
	return list
}
