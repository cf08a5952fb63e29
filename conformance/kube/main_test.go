// Package kube pushes images to the real berth binary and looks at what its
// triggers do in a real Kubernetes control plane.
package kube

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/kubetest"
)

// cluster is the control plane that all tests share, each with namespaces of
// its own; nil where the machine has none.
var cluster *kubetest.Cluster

func TestMain(m *testing.M) { os.Exit(berthtest.Main(func() int { return run(m) })) }

func run(m *testing.M) (code int) {
	flag.Parse()
	var err error
	cluster, err = kubetest.Launch()
	switch {
	case errors.Is(err, kubetest.ErrMissing) && !berthtest.Required(berthtest.Kube):
		fmt.Fprintln(os.Stderr, err)
		return m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}
