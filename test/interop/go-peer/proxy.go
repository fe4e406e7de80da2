package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// runProxy is what quicgate's gateway is measured against: the standard library's reverse proxy behind h2quic.
func runProxy(args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	var listen listenFlags
	listen.register(flags)
	upstream := flags.String("upstream", "", "http://HOST:PORT to pass requests to (required)")
	connections := flags.Int("upstream-connections", 256, "idle connections to the upstream that are kept")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return badUsage("unexpected argument %q", flags.Arg(0))
	}
	target, err := url.Parse(*upstream)
	if err != nil || target.Scheme != "http" || target.Host == "" {
		return badUsage("--upstream %q: expected http://HOST:PORT", *upstream)
	}
	// net/http keeps two idle connections a host by default, which would make the proxy reconnect under load.
	transport := &http.Transport{
		MaxIdleConns:        *connections,
		MaxIdleConnsPerHost: *connections,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: transport,
		ErrorLog:  log.New(os.Stderr, "", log.LstdFlags),
	}
	return listen.serve(proxy)
}
