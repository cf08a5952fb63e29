package server

import (
	"fmt"
	"io"
	"net"
	"strings"

	"berth.dev/berth/internal/iam"
)

// welcome tells who started the server where it is, and after a first start
// everything that a first push needs.
func welcome(w io.Writer, cfg *Config, addr net.Addr, first *firstStart) error {
	url := publicURL(cfg, addr)
	_, host, _ := strings.Cut(url, "://")
	var b strings.Builder
	fmt.Fprintf(&b, "Berth serves %s\n", url)
	if first == nil {
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "\nThe registry is new. Its administrator:\n  user      %s\n", iam.FirstName)
	org := first.organization
	if first.password != "" {
		fmt.Fprintf(&b, "  password  %s   (shown only now)\n", first.password)
	} else {
		fmt.Fprintf(&b, "  password  the one you chose\n")
	}
	b.WriteString("\nPush an image:\n")
	if org == "" {
		org = "demo"
		fmt.Fprintf(&b, "  berth org create %s%s\n", org, dataFlag(cfg))
	}
	fmt.Fprintf(&b, "  docker login -u %s %s\n", iam.FirstName, host)
	fmt.Fprintf(&b, "  docker pull alpine\n")
	fmt.Fprintf(&b, "  docker tag alpine %s/%s/alpine\n", host, org)
	fmt.Fprintf(&b, "  docker push %s/%s/alpine\n", host, org)
	if first.organization != "" {
		fmt.Fprintf(&b, "\nMore organizations:\n  berth org create NAME%s\n", dataFlag(cfg))
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
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
