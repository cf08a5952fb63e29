package registry

import "testing"

// What is put back is bounded as what comes first is, and no count is lost
// that has its place.
func TestPullsPutBackAreBounded(t *testing.T) {
	p := newPulls()
	for id := range int64(maxPulls) {
		addTo(p.repos, id, 1)
		addTo(p.seen, pulled{tag: "v", actor: string(rune(id))}, 1)
		p.note(manifestKey{id, "v"})
	}
	taken := p.take()
	if len(p.repos)+len(p.tags)+len(p.seen) != 0 {
		t.Fatal("something is left")
	}
	addTo(p.repos, -1, 1)
	addTo(p.repos, 0, 5)
	r := &Registry{pulls: p}
	for _, u := range r.pullUpdates(taken) {
		u.back(p)
	}
	var sum int64
	for _, n := range p.repos {
		sum += n
	}
	// One of the old ones had no room beside the new one.
	if len(p.repos) != maxPulls || sum != maxPulls-1+1+5 || p.repos[-1] != 1 || p.repos[0] != 6 {
		t.Errorf("%d repositories, %d pulls", len(p.repos), sum)
	}
	if len(p.tags) != maxPulls || len(p.seen) != len(taken.seen) {
		t.Errorf("%d tags, %d events", len(p.tags), len(p.seen))
	}
}
