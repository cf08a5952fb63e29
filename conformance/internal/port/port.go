// Package port finds ports of the loopback address for servers that must know
// theirs before they listen, and find it again after a restart.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The ports lie below those that Linux gives to connections
// (ip_local_port_range), one of which could else take a port while its server
// is not there.
const (
	first = 10_000
	last  = 32_000
	tries = 1000
)

var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Free returns a port that nobody listens on, and that it has not returned
// before in this process.
func Free() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	var err error
	for range tries {
		n := first + rand.IntN(last-first)
		if given[n] {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n)); err == nil {
			given[n] = true
			return n, l.Close()
		}
	}
	return 0, errors.Join(errors.New("there is no free port"), err)
}
