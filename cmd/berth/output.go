package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"berth.dev/berth/internal/server"
)

// A result is what a command has to say: to programs, and to people either a
// text or a table whose first row is its head.
type result struct {
	value any // nil: nothing is shown
	text  string
	table [][]string
	after error // returned once the result is shown
}

// show writes the result in the format that was asked for.
func (c *call) show(r result) error {
	if r.value == nil {
		return r.after
	}
	if c.output == "json" {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(r.value); err != nil {
			return err
		}
		return r.after
	}
	if len(r.table) > 0 {
		w := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
		for _, row := range r.table {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if r.text != "" {
		if _, err := fmt.Fprintln(c.out, strings.TrimRight(r.text, "\n")); err != nil {
			return err
		}
	}
	return r.after
}

// done is the result of a change that has nothing else to tell. The value is
// {"name": NAME}.
func done(name, format string, args ...any) result {
	return result{value: map[string]string{"name": name}, text: fmt.Sprintf(format, args...)}
}

// rows makes a table.
func rows[T any](head []string, items []T, row func(T) []string) [][]string {
	out := [][]string{head}
	for _, item := range items {
		out = append(out, row(item))
	}
	return out
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// size is a number of bytes as people read it.
func size(n int64) string {
	const units = "KMGTPE"
	f, unit := float64(n), ""
	for i := 0; f >= 1024 && i < len(units); i++ {
		f, unit = f/1024, units[i:i+1]+"iB"
	}
	if unit == "" {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
}

func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// with runs do on the registry of this command line.
func with[T any](c *call, do func(*server.Local) (T, error)) (T, error) {
	return opened(c, false, do)
}

// making is with, and begins a registry where there is none.
func making[T any](c *call, do func(*server.Local) (T, error)) (T, error) {
	return opened(c, true, do)
}

func opened[T any](c *call, create bool, do func(*server.Local) (T, error)) (out T, err error) {
	cfg, err := c.config()
	if err != nil {
		return out, err
	}
	// Progress is no news here; what goes wrong is the command's error.
	cfg.Log.Level = max(cfg.Log.Level, warnings)
	l, err := server.OpenLocal(c.ctx, &cfg, server.LocalOptions{Make: create, Notice: c.err, Log: cfg.Logger(c.err)})
	if err != nil {
		return out, err
	}
	defer func() {
		if e := l.Close(); err == nil {
			err = e
		}
	}()
	return do(l)
}

// all collects the pages of a list.
func all[T any](c *call, l *server.Local, op server.Op[server.List, server.Page[T]], in string) ([]T, error) {
	items := []T{}
	for q := (server.List{In: in}); ; {
		p, err := server.Call(c.ctx, l, op, q)
		if err != nil {
			return nil, err
		}
		items = append(items, p.Items...)
		if !p.More {
			return items, nil
		}
		q.After = p.Next
	}
}
