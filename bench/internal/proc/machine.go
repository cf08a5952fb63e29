package proc

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// Machine describes the machine in one line: processor, memory, kernel, Go version.
func Machine() string {
	var u syscall.Utsname
	kernel := "?"
	if syscall.Uname(&u) == nil {
		var b []byte
		for _, c := range u.Release {
			b = append(b, byte(c))
		}
		kernel = string(bytes.TrimRight(b, "\x00"))
	}
	return fmt.Sprintf("%d x %s, %.0f GiB, Linux %s, %s", runtime.NumCPU(), cpuModel(),
		field("/proc/meminfo", "MemTotal")/(1<<20), kernel, runtime.Version())
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
