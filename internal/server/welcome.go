package server

import (
	"fmt"
	"io"
	"net"
	"strings"

	"berth.dev/berth/internal/iam"
)

// welcome tells who started the server, after a first start, everything that a
// first push needs, and always, as its last line, where the server is.
func welcome(w io.Writer, cfg *Config, addr net.Addr, first *firstStart) error {
	url := publicURL(cfg, addr)
	text := "Berth serves " + url + "\n"
	if first != nil {
		_, host, _ := strings.Cut(url, "://")
		text = first.text(host, dataFlag(cfg)) + text
	}
	_, err := io.WriteString(w, text)
	return err
}

// text is the part of a first start. Every line of it can be pasted.
func (f *firstStart) text(host, dataFlag string) string {
	var b strings.Builder
	password := "the one you chose"
	if f.password != "" {
		password = f.password + "   (shown only now)"
	}
	fmt.Fprintf(&b, "This registry is new. Its administrator:\n  user      %s\n  password  %s\n\nPush an image:\n", iam.FirstName, password)
	org := f.organization
	if org == "" {
		org = "demo"
		fmt.Fprintf(&b, "  berth org create %s%s\n", org, dataFlag)
	}
	fmt.Fprintf(&b, "  docker login -u %s %s\n", iam.FirstName, host)
	fmt.Fprintf(&b, "  docker pull alpine\n")
	fmt.Fprintf(&b, "  docker tag alpine %s/%s/alpine\n", host, org)
	fmt.Fprintf(&b, "  docker push %s/%s/alpine\n\n", host, org)
	if f.organization != "" {
		fmt.Fprintf(&b, "Images belong to organizations. Another one:\n  berth org create NAME%s\n\n", dataFlag)
	}
	return b.String()
}

// dataFlag is what a berth command needs to find this registry.
func dataFlag(cfg *Config) string {
	if cfg.Data == Default().Data {
		return ""
	}
	return " --data " + shellWord(cfg.Data)
}

// shellWord quotes a word where a shell would take it apart.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// publicURL is an address that works on this machine, or the configured one.
func publicURL(cfg *Config, addr net.Addr) string {
	if cfg.ExternalURL != "" {
		return strings.TrimRight(cfg.ExternalURL, "/")
	}
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
