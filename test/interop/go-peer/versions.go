package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	quic "github.com/lucas-clemente/quic-go"
)

// Newest first, as quic-go orders them.
var knownVersions = []struct {
	number string
	id     quic.VersionNumber
}{
	{"44", quic.VersionGQUIC44},
	{"43", quic.VersionGQUIC43},
	{"39", quic.VersionGQUIC39},
}

// parseVersions reads a list such as "39,43" or "Q043"; the order is kept, since a client offers the first.
func parseVersions(text string) ([]quic.VersionNumber, error) {
	var versions []quic.VersionNumber
	for _, part := range strings.Split(text, ",") {
		number := strings.TrimLeft(strings.TrimSpace(part), "Qq0")
		var found quic.VersionNumber
		for _, known := range knownVersions {
			if known.number == number {
				found = known.id
			}
		}
		if found == 0 {
			return nil, badUsage("--versions: %q: expected some of 39, 43, 44, separated by commas", part)
		}
		versions = append(versions, found)
	}
	return versions, nil
}

// label is the name of a version as quicgate writes it, such as "Q043".
func label(version quic.VersionNumber) string {
	for _, known := range knownVersions {
		if known.id == version {
			return "Q0" + known.number
		}
	}
	return fmt.Sprintf("%#x", uint32(version))
}

func labels(versions []quic.VersionNumber) []string {
	names := make([]string, len(versions))
	for i, version := range versions {
		names[i] = label(version)
	}
	return names
}

// transportFlags are those that every command has.
type transportFlags struct {
	versions    string
	idleTimeout time.Duration
}

func (t *transportFlags) register(flags *flag.FlagSet) {
	flags.StringVar(&t.versions, "versions", "44,43,39", "QUIC versions, preferred first")
	flags.DurationVar(&t.idleTimeout, "idle-timeout", 30*time.Second, "idle timeout of a connection")
}

func (t *transportFlags) config() (*quic.Config, error) {
	versions, err := parseVersions(t.versions)
	if err != nil {
		return nil, err
	}
	return &quic.Config{Versions: versions, IdleTimeout: t.idleTimeout}, nil
}

// dialFlags are those of the commands that connect to a server.
type dialFlags struct {
	transportFlags
	connect          string
	serverName       string
	ca               string
	insecure         bool
	keepConnectionID bool
}

func (d *dialFlags) register(flags *flag.FlagSet) {
	d.transportFlags.register(flags)
	flags.StringVar(&d.connect, "connect", "", "IP:PORT to dial (required)")
	flags.StringVar(&d.serverName, "server-name", "", "name that the certificate must bear (default: the URL's)")
	flags.StringVar(&d.ca, "ca", "", "PEM file of authorities to trust instead of the system's")
	flags.BoolVar(&d.insecure, "insecure", false, "accept any certificate")
	flags.BoolVar(&d.keepConnectionID, "keep-connection-id", false,
		"do not ask the server to leave connection ids out, as quic-go's HTTP client does by default")
}

// dialer opens connections as its flags say, to whatever host the URL names.
type dialer struct {
	connect string
	tls     *tls.Config
	config  *quic.Config
}

func (d *dialFlags) dialer() (*dialer, error) {
	if d.connect == "" {
		return nil, badUsage("--connect is required: IP:PORT of the server")
	}
	if d.insecure && d.ca != "" {
		return nil, badUsage("--insecure and --ca exclude one another")
	}
	config, err := d.config()
	if err != nil {
		return nil, err
	}
	config.KeepAlive = true
	config.RequestConnectionIDOmission = !d.keepConnectionID
	tlsConfig := &tls.Config{ServerName: d.serverName, InsecureSkipVerify: d.insecure}
	if d.ca != "" {
		pem, err := os.ReadFile(d.ca)
		if err != nil {
			return nil, badUsage("--ca: %v", err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, badUsage("--ca %s: no certificate found: expected a PEM file", d.ca)
		}
	}
	return &dialer{d.connect, tlsConfig, config}, nil
}

// dial opens a connection on a socket of its own; serverName counts where --server-name was not given.
// DialAddr, not Dial: quic-go refuses to share a socket between connections that may be Q044.
func (d *dialer) dial(serverName string) (quic.Session, error) {
	// quic-go writes into the configuration that it is given.
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = serverName
	}
	return quic.DialAddr(d.connect, config, d.config)
}

// versionOf tells what a connection negotiated. The method is not part of the Session interface.
func versionOf(session quic.Session) string {
	if known, ok := session.(interface{ GetVersion() quic.VersionNumber }); ok {
		return label(known.GetVersion())
	}
	return ""
}
