package retention_test

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth.dev/berth/internal/retention"
)

var now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

const days = 24 * time.Hour

// tag is one that was last pushed so long ago.
func tag(id int64, name string, ago time.Duration) retention.Tag {
	return retention.Tag{ID: id, Name: name, Updated: now.Add(-ago).UnixMicro()}
}

func byNumber(n int, except ...retention.Selector) retention.Rule {
	return retention.Rule{Template: retention.ByNumber, N: n, Except: except}
}

func byAge(n int, except ...retention.Selector) retention.Rule {
	return retention.Rule{Template: retention.ByAge, N: n, Except: except}
}

func label(s string) retention.Selector { return retention.Selector{Kind: retention.Label, Pattern: s} }
func expr(s string) retention.Selector  { return retention.Selector{Kind: retention.Regexp, Pattern: s} }

func policy(r ...retention.Rule) retention.Policy { return retention.Policy{Rules: r} }

// said is a verdict as a table has it: "name keep|delete rule rank", and the
// exception that holds, with ! where it saved the tag.
func said(t retention.Tag, v retention.Verdict) string {
	s := fmt.Sprintf("%s keep %d", t.Name, v.Rule)
	if v.Delete {
		s = fmt.Sprintf("%s delete %d", t.Name, v.Rule)
	}
	if v.Rank > 0 {
		s += fmt.Sprintf(" #%d", v.Rank)
	}
	if v.Except >= 0 {
		s += fmt.Sprintf(" except %d", v.Except)
	}
	if v.Saved {
		s += "!"
	}
	return s
}

func TestPlan(t *testing.T) {
	four := func() []retention.Tag {
		return []retention.Tag{tag(1, "old", 40*days), tag(2, "release-1", 35*days), tag(3, "v1", 10*days), tag(4, "v2", time.Hour)}
	}
	for name, c := range map[string]struct {
		policy retention.Policy
		tags   []retention.Tag
		want   string
	}{
		"by number":            {policy(byNumber(2)), four(), "v2 keep 0 #1, v1 keep 0 #2, release-1 delete 0 #3, old delete 0 #4"},
		"by age":               {policy(byAge(30)), four(), "v2 keep 0, v1 keep 0, release-1 delete 0, old delete 0"},
		"exceptions not count": {policy(byNumber(2, expr("^release"), label("v2"))), four(), "v2 keep 0 except 1, v1 keep 0 #1, release-1 keep 0 except 0, old keep 0 #2"},
		"exception saves":      {policy(byNumber(1, label("v1"), expr("lease"))), four(), "v2 keep 0 #1, v1 keep 0 except 0!, release-1 keep 0 except 1!, old delete 0 #2"},
		"exception by age":     {policy(byAge(30, expr("^rel"), label("v2"))), four(), "v2 keep 0 except 1, v1 keep 0, release-1 keep 0 except 0!, old delete 0"},
		"first selector":       {policy(byNumber(1, expr("^x"), expr("v"), label("v1"))), four(), "v2 keep 0 except 1, v1 keep 0 except 1, release-1 keep 0 #1, old delete 0 #2"},
		"label before":         {policy(byNumber(1, label("v1"), expr("v1"))), four()[2:], "v2 keep 0 #1, v1 keep 0 except 0!"},
		"unanchored":           {policy(byNumber(1, expr("ol"))), four(), "v2 keep 0 #1, v1 delete 0 #2, release-1 delete 0 #3, old keep 0 except 0!"},
		"either rule":          {policy(byAge(30), byNumber(1)), four(), "v2 keep 0, v1 delete 1 #2, release-1 delete 0, old delete 0"},
		"exception of one":     {policy(byAge(30, expr(".")), byNumber(3)), four(), "v2 keep 0 except 0, v1 keep 0 except 0, release-1 keep 0 except 0!, old delete 1 #4"},
		"exception of both":    {policy(byAge(30, label("old")), byNumber(1, label("old"))), four(), "v2 keep 0, v1 delete 1 #2, release-1 delete 0, old keep 0 except 0!"},
		"second saves":         {policy(byAge(365, label("v1")), byNumber(1, label("v1"))), four()[2:], "v2 keep 0, v1 keep 1 except 0!"},
		"exactly so old":       {policy(byAge(30)), []retention.Tag{tag(1, "a", 30*days), tag(2, "b", 30*days+time.Microsecond)}, "a keep 0, b delete 0"},
		"same time":            {policy(byNumber(1)), []retention.Tag{tag(1, "b", days), tag(2, "a", days)}, "a keep 0 #1, b delete 0 #2"},
		"pushed in the future": {policy(byAge(1), byNumber(1)), []retention.Tag{tag(1, "a", -days), tag(2, "b", days)}, "a keep 0, b delete 1 #2"},
		"none":                 {policy(byAge(1)), nil, ""},
	} {
		verdicts, err := retention.Plan(c.policy, c.tags, now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, v := range verdicts {
			got = append(got, said(c.tags[i], v))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %s\nwant %s", name, s, c.want)
		}
	}
}

// Generators: few names and few times, so that exceptions and ties are common.

func genTags() *rapid.Generator[[]retention.Tag] {
	return rapid.Custom(func(t *rapid.T) []retention.Tag {
		n := rapid.IntRange(0, 30).Draw(t, "tags")
		tags := make([]retention.Tag, n)
		for i := range tags {
			tags[i] = tag(int64(i+1), fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"v", "dev-", "release-"}).Draw(t, "prefix"), i),
				time.Duration(rapid.IntRange(-1, 12).Draw(t, "age"))*days/2)
		}
		return tags
	})
}

func genRule() *rapid.Generator[retention.Rule] {
	return rapid.Custom(func(t *rapid.T) retention.Rule {
		return retention.Rule{
			Template: rapid.SampledFrom([]retention.Template{retention.ByAge, retention.ByNumber}).Draw(t, "template"),
			N:        rapid.IntRange(1, 8).Draw(t, "n"),
			Except:   rapid.SliceOfN(rapid.SampledFrom([]retention.Selector{label("v1"), label("dev-3"), expr("^release-"), expr("7"), expr("v.*[02]$")}), 0, 3).Draw(t, "except"),
		}
	})
}

func genPolicy() *rapid.Generator[retention.Policy] {
	return rapid.Map(rapid.SliceOfN(genRule(), 1, 4), func(r []retention.Rule) retention.Policy { return policy(r...) })
}

func plan(t *rapid.T, p retention.Policy, tags []retention.Tag) ([]retention.Tag, []retention.Verdict) {
	tags = slices.Clone(tags)
	v, err := retention.Plan(p, tags, now)
	if err != nil {
		t.Fatal(err)
	}
	return tags, v
}

// gone are the names that a policy lets go.
func gone(t *rapid.T, p retention.Policy, tags []retention.Tag) map[string]bool {
	out := map[string]bool{}
	sorted, verdicts := plan(t, p, tags)
	for i, v := range verdicts {
		if v.Delete {
			out[sorted[i].Name] = true
		}
	}
	return out
}

func excepted(r retention.Rule, name string) bool {
	return slices.ContainsFunc(r.Except, func(s retention.Selector) bool {
		return s.Kind == retention.Label && s.Pattern == name || s.Kind == retention.Regexp && regexp.MustCompile(s.Pattern).MatchString(name)
	})
}

// expected is what goes, by the words of docs/rules.md: slow, and without state.
func expected(p retention.Policy, tags []retention.Tag) map[string]bool {
	out := map[string]bool{}
	for _, r := range p.Rules {
		for _, t := range tags {
			if excepted(r, t.Name) {
				continue
			}
			newer := 0
			for _, o := range tags {
				if !excepted(r, o.Name) && (o.Updated > t.Updated || o.Updated == t.Updated && o.ID > t.ID) {
					newer++
				}
			}
			if r.Template == retention.ByNumber && newer >= r.N ||
				r.Template == retention.ByAge && now.Sub(time.UnixMicro(t.Updated)) > time.Duration(r.N)*days {
				out[t.Name] = true
			}
		}
	}
	return out
}

func TestPlanProperties(t *testing.T) {
	check := func(name string, f func(*rapid.T, retention.Policy, []retention.Tag, map[string]bool)) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p, tags := genPolicy().Draw(t, "policy"), genTags().Draw(t, "tags")
				f(t, p, tags, gone(t, p, tags))
			})
		})
	}
	check("what goes is what the words say", func(t *rapid.T, p retention.Policy, tags []retention.Tag, g map[string]bool) {
		if want := expected(p, tags); !same(g, want) {
			t.Fatalf("goes %v, want %v", g, want)
		}
	})
	check("a second run finds nothing", func(t *rapid.T, p retention.Policy, tags []retention.Tag, g map[string]bool) {
		left := slices.DeleteFunc(slices.Clone(tags), func(x retention.Tag) bool { return g[x.Name] })
		if again := gone(t, p, left); len(again) > 0 {
			t.Fatalf("then %v go as well", again)
		}
	})
	check("a run that was broken off goes on to the same end", func(t *rapid.T, p retention.Policy, tags []retention.Tag, g map[string]bool) {
		// The oldest go first: whatever a run did, it did from there.
		done, some := rapid.IntRange(0, len(g)).Draw(t, "done"), map[string]bool{}
		sorted, verdicts := plan(t, p, tags)
		for i := len(sorted) - 1; i >= 0 && len(some) < done; i-- {
			if verdicts[i].Delete {
				some[sorted[i].Name] = true
			}
		}
		left := slices.DeleteFunc(slices.Clone(tags), func(x retention.Tag) bool { return some[x.Name] })
		rest, again := plan(t, p, left)
		for i, v := range again {
			// What an exception saves, and by which rule, depends on what is
			// left to be counted; what goes, goes for the same reason.
			before := verdicts[slices.Index(sorted, rest[i])]
			if v.Delete != before.Delete || v.Delete && v != before {
				t.Fatalf("%s: %+v, before %+v", rest[i].Name, v, before)
			}
		}
	})
	check("a policy is the union of its rules", func(t *rapid.T, p retention.Policy, tags []retention.Tag, g map[string]bool) {
		union := map[string]bool{}
		for _, r := range p.Rules {
			for name := range gone(t, policy(r), tags) {
				union[name] = true
			}
		}
		if !same(g, union) {
			t.Fatalf("goes %v, by each rule %v", g, union)
		}
	})
	check("the order in which tags come is all the same", func(t *rapid.T, p retention.Policy, tags []retention.Tag, _ map[string]bool) {
		a, va := plan(t, p, tags)
		b, vb := plan(t, p, rapid.Permutation(tags).Draw(t, "permutation"))
		if !slices.Equal(a, b) || !slices.Equal(va, vb) {
			t.Fatalf("%v %+v, then %v %+v", a, va, b, vb)
		}
	})
	check("a greater number lets no more go", func(t *rapid.T, p retention.Policy, tags []retention.Tag, g map[string]bool) {
		more := policy(slices.Clone(p.Rules)...)
		more.Rules[rapid.IntRange(0, len(p.Rules)-1).Draw(t, "rule")].N++
		for name := range gone(t, more, tags) {
			if !g[name] {
				t.Fatalf("%s goes by the greater number only", name)
			}
		}
	})
	check("exceptions stay, and no older tag outlives a newer one", func(t *rapid.T, p retention.Policy, tags []retention.Tag, _ map[string]bool) {
		for _, r := range p.Rules {
			g := gone(t, policy(r), tags)
			stay := 0
			for _, x := range tags {
				if excepted(r, x.Name) {
					if g[x.Name] {
						t.Fatalf("the exception %s goes", x.Name)
					}
					continue
				}
				if !g[x.Name] {
					stay++
				}
				for _, o := range tags {
					if g[x.Name] && !g[o.Name] && !excepted(r, o.Name) && retention.Newer(x, o) < 0 {
						t.Fatalf("%s goes and the older %s stays", x.Name, o.Name)
					}
				}
			}
			if r.Template == retention.ByNumber && len(g) > 0 && stay != r.N {
				t.Fatalf("%d tags stay, and the rule keeps %d", stay, r.N)
			}
		}
	})
	check("verdicts explain themselves", func(t *rapid.T, p retention.Policy, tags []retention.Tag, g map[string]bool) {
		sorted, verdicts := plan(t, p, tags)
		for i, v := range verdicts {
			r, name := p.Rules[v.Rule], sorted[i].Name
			alone := gone(t, policy(r), tags)[name]
			freed := r
			freed.Except = nil
			switch {
			case v.Delete && (!alone || v.Except != -1 || v.Saved), !v.Delete && alone:
				t.Fatalf("%s: %+v, and its rule alone says %v", name, v, alone)
			case v.Except >= 0 && !excepted(retention.Rule{Except: r.Except[v.Except : v.Except+1]}, name):
				t.Fatalf("%s: %+v, which is not its exception", name, v)
			case v.Saved && r.Template == retention.ByAge && !gone(t, policy(freed), tags)[name]:
				t.Fatalf("%s: %+v, but it would stay anyway", name, v)
			case v.Delete && (r.Template == retention.ByNumber) != (v.Rank > r.N):
				t.Fatalf("%s: %+v", name, v)
			}
		}
	})
}

func same(a, b map[string]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

// After a complete run only what is newer than the floor counts: whatever is
// pushed then, looking at that alone finds what looking at all does.
func TestFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policy(rapid.SliceOfN(rapid.Map(genRule(), func(r retention.Rule) retention.Rule { r.Template = retention.ByNumber; return r }), 1, 3).Draw(t, "rules")...)
		tags := genTags().Draw(t, "tags")
		g := gone(t, p, tags)
		left := slices.DeleteFunc(slices.Clone(tags), func(x retention.Tag) bool { return g[x.Name] })
		floor := floorOf(t, p, tags)
		if after := floorOf(t, p, left); after < floor {
			t.Fatalf("the floor was %d, and is %d after the run", floor, after)
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "pushes") {
			if k := rapid.IntRange(0, 2*len(left)).Draw(t, "which"); k < len(left) { // one that is there
				left[k].Updated = now.Add(time.Duration(i+1) * days).UnixMicro()
			} else {
				left = append(left, tag(int64(100+i), fmt.Sprintf("dev-1%d", i), -time.Duration(i+1)*days))
			}
		}
		some := slices.DeleteFunc(slices.Clone(left), func(x retention.Tag) bool { return x.Updated < floor })
		if all, few := gone(t, p, left), gone(t, p, some); !same(all, few) {
			t.Fatalf("goes %v; looking at what is newer than the floor: %v", all, few)
		}
	})
}

func floorOf(t *rapid.T, p retention.Policy, tags []retention.Tag) int64 {
	j, err := retention.NewJudge(p, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	tags = slices.Clone(tags)
	slices.SortFunc(tags, retention.Newer)
	for _, x := range tags {
		if _, err := j.Judge(x); err != nil {
			t.Fatal(err)
		}
	}
	return j.Floor()
}

// The worst expressions that are accepted end a plan in time, and then nothing
// of it counts.
func TestPlanHasABound(t *testing.T) {
	worst := retention.Rule{Template: retention.ByNumber, N: 1}
	for i := range retention.MaxSelectors {
		worst.Except = append(worst.Except, expr(fmt.Sprintf(`(.*){1,%d}(x|y)z%d$`, 20+i%5, i)))
	}
	p := policy(worst)
	if err := p.Validate(retention.Limits{}); err != nil {
		t.Fatal(err)
	}
	const limit = 50 * time.Millisecond
	j, err := retention.NewJudge(p, now, limit)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for i := range 100_000 {
		if _, err = j.Judge(tag(int64(i), strings.Repeat("a", 128), 0)); err != nil {
			break
		}
	}
	if !errors.Is(err, retention.ErrTooLong) {
		t.Fatalf("%v after %s", err, time.Since(begun))
	}
	if took := time.Since(begun); took > 100*limit {
		t.Errorf("it took %s to notice that %s are over", took, limit)
	}
}

// The time between two tags is not that of the expressions.
func TestPauseDoesNotCount(t *testing.T) {
	j, err := retention.NewJudge(policy(byNumber(1, expr("^x"))), now, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * 16 {
		if _, err := j.Judge(tag(int64(i), "a", 0)); err != nil {
			t.Fatal(err)
		}
		if err := j.Pause(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkPlan judges 100,000 tags by a rule of each kind with exceptions of
// each kind. It reports the bytes that are live at the end, tags and verdicts
// included.
func BenchmarkPlan(b *testing.B) {
	p := policy(byAge(30, label("latest"), expr("^v[0-9]+$"), expr("release")), byNumber(500, expr("-stable$"), label("v1")))
	tags := make([]retention.Tag, 100_000)
	for i := range tags {
		tags[i] = tag(int64(i), fmt.Sprintf("build-2026.03.%06d", i), time.Duration(i)*time.Minute)
	}
	live := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var out []retention.Verdict
	for b.Loop() {
		var err error
		if out, err = retention.Plan(p, tags, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(live(), "live-MiB")
	runtime.KeepAlive(out)
}
