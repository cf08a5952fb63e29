package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A certificate is read from its files again when these change, so that a
// renewal needs no restart. Files that do not fit together (a renewal caught
// half-way) leave the last good pair in use.
type certificate struct {
	files TLS
	log   *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	stamp   [2]fileStamp
	current *tls.Certificate
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// recheck is the longest time for which a changed file goes unnoticed.
const recheck = time.Second

func loadCertificate(files TLS, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log}
	stamp, err := c.look()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %s and %s: %w", files.Cert, files.Key, err)
	}
	c.stamp, c.current, c.looked = stamp, &pair, time.Now()
	return c, nil
}

func (c *certificate) look() (stamp [2]fileStamp, err error) {
	for i, name := range []string{c.files.Cert, c.files.Key} {
		st, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = fileStamp{st.ModTime(), st.Size()}
	}
	return stamp, nil
}

// get implements tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < recheck {
		return c.current, nil
	}
	c.looked = time.Now()
	stamp, err := c.look()
	if err != nil || stamp == c.stamp {
		return c.current, nil // files that are being replaced are there again at the next look
	}
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		c.log.Warn("the new certificate cannot be used, the old one stays", "cert", c.files.Cert, "err", err)
		return c.current, nil
	}
	c.stamp, c.current = stamp, &pair
	c.log.Info("certificate reloaded", "cert", c.files.Cert, "expires", pair.Leaf.NotAfter)
	return c.current, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}
}
