// Package kubetest runs a real Kubernetes control plane for tests: etcd, the
// API server and the controller manager, on loopback, without a kubelet. What a
// kubelet would do, tests do through the API.
package kubetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrMissing means that the machine lacks the programs.
var ErrMissing = errors.New("no Kubernetes control plane here: run conformance/install.sh, or set KUBEBUILDER_ASSETS")

// programs are the three that run, by name.
type programs struct{ etcd, apiserver, controllers string }

// find looks for each program in KUBEBUILDER_ASSETS, where install.sh builds
// them, and in the path.
func find() (programs, error) {
	var dirs []string
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		dirs = append(dirs, dir)
	}
	if dir := os.Getenv("BERTH_TOOLS"); dir != "" {
		dirs = append(dirs, filepath.Join(dir, "kube"))
	} else if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".cache", "berth-tools", "kube"))
	}
	var p programs
	for name, at := range map[string]*string{"etcd": &p.etcd, "kube-apiserver": &p.apiserver, "kube-controller-manager": &p.controllers} {
		for _, dir := range dirs {
			if s, err := os.Stat(filepath.Join(dir, name)); err == nil && s.Mode().IsRegular() && *at == "" {
				*at = filepath.Join(dir, name)
			}
		}
		if *at == "" {
			*at, _ = exec.LookPath(name) // empty where there is none
		}
		if *at == "" {
			return p, fmt.Errorf("%s is missing: %w", name, ErrMissing)
		}
	}
	return p, nil
}
