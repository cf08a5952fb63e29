// Package proc reads what the kernel knows about a process: processor time, memory,
// bytes written, system calls. Linux only.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on

// CPU is the user and system time used so far, in seconds; 0 if there is no such process.
func CPU(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// the command's name may hold blanks; the fields start behind its bracket
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticksPerSecond
}

// RSS is the resident memory in MiB.
func RSS(pid int) float64 { return status(pid, "VmRSS") }

// PeakRSS is the highest resident memory since ResetPeak, in MiB.
func PeakRSS(pid int) float64 { return status(pid, "VmHWM") }

// ResetPeak starts a new peak and reports whether the kernel allowed it.
func ResetPeak(pid int) bool {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) == nil
}

// Written is how many bytes the process caused to be sent to the disk.
func Written(pid int) float64 { return field(fmt.Sprintf("/proc/%d/io", pid), "write_bytes") }

func status(pid int, key string) float64 {
	return field(fmt.Sprintf("/proc/%d/status", pid), key) / 1024
}

func field(path, key string) float64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if f := strings.Fields(value); name == key && len(f) > 0 {
			v, _ := strconv.ParseFloat(f[0], 64)
			return v
		}
	}
	return 0
}

// Load is the one-minute load average.
func Load() float64 {
	var v float64
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(b), &v)
	}
	return v
}
