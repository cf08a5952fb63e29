package server

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "65536": 1 << 16, "64KiB": 1 << 16, "64 kib": 1 << 16, "1GiB": 1 << 30, "5GB": 5e9, "3TB": 3e12, "17B": 17,
		"": -1, "-1": -1, "KiB": -1, "1.5GiB": -1, "9999999999TiB": -1, "1GiB ": 1 << 30, "x": -1, "1G": -1,
	} {
		var got Size
		err := got.Set(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "500ms": time.Second / 2,
		"": -1, "5": -1, "-1s": -1, "d": -1, "1.5d": -1, "999999999d": -1, "-7d": -1,
	} {
		var got durationValue
		err := got.Set(text)
		if (err != nil) != (want < 0) || err == nil && time.Duration(got) != want {
			t.Errorf("%q: %v, %v", text, time.Duration(got), err)
		}
	}
}

func TestValuesPrintWhatTheyRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := Size(rapid.Int64Range(0, 1<<62).Draw(t, "size"))
		var size2 Size
		if err := size2.Set(size.String()); err != nil || size2 != size {
			t.Errorf("%d prints %s, which reads %d, %v", size, &size, size2, err)
		}
		d := durationValue(rapid.Int64Range(0, int64(100*365*24*time.Hour)).Draw(t, "duration"))
		if rapid.Bool().Draw(t, "round") {
			d -= d % durationValue(time.Minute)
		}
		var d2 durationValue
		if err := d2.Set(d.String()); err != nil || d2 != d {
			t.Errorf("%d prints %s, which reads %d, %v", d, &d, d2, err)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"create", "list", "delete", "enable", "disable", "passwd"}
	for word, want := range map[string]string{
		"craete": "create", "lst": "list", "enabel": "enable", "password": "passwd", "x": "", "remove": "", "dis": "disable", "password-std": "", "": "",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{"data: x\nlog:\n  level: info\n", "a: [1, b]\n", "tls: {cert: x}\n", "'a': 1\n#\n", "? a\n: b\n", "a: &x 1\nb: *x\n", "<<: 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4<<10 {
			return // the size is bounded elsewhere
		}
		settings, err := parseFile(text)
		for _, s := range settings {
			if err == nil && s.line < 1 {
				t.Errorf("%q: line %d", s.key, s.line)
			}
		}
	})
}
