package server

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	"berth.dev/berth/internal/iam"
)

// welcome tells who started the server, after a first start, everything that a
// first push needs, and always, as its last line, where the server is.
func welcome(o Outlets, cfg *Config, addr net.Addr, first *firstStart) error {
	url := publicURL(cfg, addr.String())
	text := "Berth serves " + url + "\n"
	if first != nil {
		_, host, _ := strings.Cut(url, "://")
		text = first.text(host, func(name string) string { return orgCommand(o.Program, cfg, name) }) + text
	}
	_, err := io.WriteString(o.Out, text)
	return err
}

// text is the part of a first start. Every line of it can be pasted.
func (f *firstStart) text(host string, createOrg func(name string) string) string {
	var b strings.Builder
	password := "the one you chose"
	if f.password != "" {
		password = f.password + "   (shown only now)"
	}
	fmt.Fprintf(&b, "This registry is new. Its administrator:\n  user      %s\n  password  %s\n\nPush an image:\n", iam.FirstName, password)
	org := f.organization
	if org == "" {
		org = "demo"
		fmt.Fprintf(&b, "  %s\n", createOrg(org))
	}
	fmt.Fprintf(&b, "  docker login -u %s %s\n", iam.FirstName, host)
	fmt.Fprintf(&b, "  docker pull alpine\n")
	fmt.Fprintf(&b, "  docker tag alpine %s/%s/alpine\n", host, org)
	fmt.Fprintf(&b, "  docker push %s/%s/alpine\n\n", host, org)
	if f.organization != "" {
		fmt.Fprintf(&b, "Images belong to organizations. Another one:\n  %s\n\n", createOrg("NAME"))
	}
	return b.String()
}

// orgCommand is the command line that creates an organization in this
// registry.
func orgCommand(program string, cfg *Config, name string) string {
	line := shellWord(cmp.Or(program, "berth")) + " org create " + name
	if filepath.Clean(cfg.Data) != Default().Data {
		line += " --data " + shellWord(cfg.Data)
	}
	return line
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
func publicURL(cfg *Config, addr string) string {
	if cfg.ExternalURL != "" {
		return strings.TrimRight(cfg.ExternalURL, "/")
	}
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + "://" + addr
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
