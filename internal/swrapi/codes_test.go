package swrapi

import (
	"bufio"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
)

// otherwise are codes that are sent with another status than the reference
// has: it knows none for these situations.
var otherwise = map[code]int{
	methodNotAllowed: 405,
	tooMany:          429,
}

// The table holds every code of the reference (testdata/codes.txt: status and
// code), each once, and no other.
func TestEveryCodeOfTheReference(t *testing.T) {
	file, err := os.Open("testdata/codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := map[code]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		number, name, _ := strings.Cut(lines.Text(), " ")
		status, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		c := code(name)
		seen[c] = true
		sent, isSent := codes[c]
		kept, isKept := reference[c]
		switch {
		case isSent && isKept:
			t.Errorf("%s is in both tables", c)
		case !isSent && !isKept:
			t.Errorf("%s is missing", c)
		case isSent && sent.status != status && sent.status != otherwise[c], isKept && kept.status != status:
			t.Errorf("%s has the status %d, want %d", c, sent.status+kept.status, status)
		}
	}
	if len(seen) != 188 {
		t.Errorf("testdata has %d codes", len(seen))
	}
	for c := range codes {
		if !seen[c] {
			t.Errorf("%s is not of the reference", c)
		}
	}
	for c := range reference {
		if !seen[c] {
			t.Errorf("%s is not of the reference", c)
		}
	}
}

var (
	codeForm = regexp.MustCompile(`^SVCSTG\.(SWR|S2I)\.[45]\d{6}$`)
	sentence = regexp.MustCompile(`^[A-Za-z].*\.$`)
)

// A client shows the message to a person, who must be able to act on it.
func TestEveryCodeSaysSomething(t *testing.T) {
	all := maps.Clone(codes)
	maps.Copy(all, reference)
	for c, m := range all {
		if !codeForm.MatchString(string(c)) || m.status < 400 || m.status > 599 {
			t.Errorf("%s with the status %d", c, m.status)
		}
		if !sentence.MatchString(m.message) {
			t.Errorf("%s: %q is no sentence", c, m.message)
		}
	}
}

func TestEveryFaultHasAnAnswer(t *testing.T) {
	check := func(f fault.Code, w wire) {
		t.Helper()
		m, ok := codes[w.code]
		if !ok {
			t.Errorf("%s has the code %q, which is not sent", f, w.code)
			return
		}
		// One code may stand for several faults whose statuses differ.
		free := []fault.Code{fault.RangeInvalid, fault.Unavailable, fault.Timeout, fault.Exists}
		if w.status != m.status && !slices.Contains(free, f) {
			t.Errorf("%s has the status %d, its code %s %d", f, w.status, w.code, m.status)
		}
	}
	for _, f := range fault.Codes {
		w, ok := faults[f]
		if !ok {
			t.Errorf("%s has no answer", f)
			continue
		}
		check(f, w)
	}
	if len(faults) != len(fault.Codes) {
		t.Errorf("the table has %d rows for %d codes", len(faults), len(fault.Codes))
	}
	for _, row := range particular {
		for f, w := range row {
			if _, ok := faults[f]; !ok {
				t.Errorf("%s is no fault", f)
			}
			check(f, w)
		}
	}
	for _, c := range quotas {
		check(fault.Quota, wire{codes[c].status, c})
	}
}
