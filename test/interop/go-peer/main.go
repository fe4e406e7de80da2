// Command quicgo-peer is the independent end of quicgate's live tests and benchmarks: an HTTP server, client, reverse
// proxy and load generator on quic-go v0.10.2, the last release that speaks Google QUIC (Q039, Q043, Q044).
//
// Every command prints JSON, one value a line, on standard output, and words for people on standard error. Exit code 0
// means that all went well, 1 that something failed, 2 that the arguments make no sense.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const usage = `usage: quicgo-peer <command> [flags]

commands:
  server        answers /bytes/N, /echo, /headers, /sha256, /discard, /delay/MS
  client        requests URLs, one JSON line each
  proxy         reverse proxy in front of an HTTP/1.1 upstream
  bench-client  puts load on a server and prints one JSON summary
  link          joins two network devices by a path with delay and loss

"quicgo-peer <command> --help" lists the flags.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	commands := map[string]func([]string) error{
		"server":       runServer,
		"client":       runClient,
		"proxy":        runProxy,
		"bench-client": runBenchClient,
		"link":         runLink,
	}
	command, known := commands[os.Args[1]]
	if !known {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	err := command(os.Args[2:])
	var bad *usageError
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, &bad):
		fmt.Fprintf(os.Stderr, "quicgo-peer %s: %v\n", os.Args[1], err)
		os.Exit(2)
	case errors.Is(err, errSomeFailed):
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "quicgo-peer %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// errSomeFailed ends the program with code 1 without words: the JSON lines have said what failed.
var errSomeFailed = errors.New("some requests failed")

// usageError is a mistake in the arguments.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func badUsage(format string, args ...interface{}) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// parse reads the flags of a command; what the flag package finds wrong is a usage error.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return &usageError{err.Error()}
}

var output sync.Mutex

// printJSON writes one line. Safe for concurrent use.
func printJSON(value interface{}) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// closed is closed by SIGINT and SIGTERM and, where stdinEnds is set, when standard input ends, so that a peer cannot
// outlive the test that started it.
func closed(stdinEnds bool) <-chan struct{} {
	done := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(done) }) }
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		end()
	}()
	if stdinEnds {
		go func() {
			buffer := make([]byte, 64)
			for {
				if _, err := os.Stdin.Read(buffer); err != nil {
					end()
					return
				}
			}
		}()
	}
	return done
}

// cpuSeconds is the processor time, user and system, that this process has used.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
