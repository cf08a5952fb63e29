//go:build !linux

package server

import (
	"net"
	"os"
)

// peerUID trusts the modes of directory and socket where the kernel is not
// asked.
func peerUID(*net.UnixConn) (int, error) { return os.Geteuid(), nil }

func shortPath(path string) (short string, done func(), err error) {
	return path, func() {}, nil
}
