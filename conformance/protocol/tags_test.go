package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"berth.dev/berth/conformance/internal/wire"
)

// page reads one page of tags or of the catalog.
func (p *probe) page(to, field string) (items []string, next string) {
	p.Helper()
	resp := p.want(200, "GET", to, nil)
	var list map[string]json.RawMessage
	p.must(json.Unmarshal(resp.Body, &list))
	p.must(json.Unmarshal(list[field], &items))
	if items == nil {
		p.Fatalf("%s: %s is no list: %s", to, field, resp.Body)
	}
	return items, p.next(resp)
}

// pages reads on to the end.
func (p *probe) pages(to, field string) (all []string) {
	p.Helper()
	for i := 0; to != ""; i++ {
		if i == 1000 {
			p.Fatal("the pages do not end")
		}
		var items []string
		items, to = p.page(to, field)
		all = append(all, items...)
	}
	return all
}

func TestTags(t *testing.T) {
	each(t, func(p *probe) {
		list := "/v2/" + p.repo + "/tags/list"
		p.refused(p.do("GET", list, nil), 404, "NAME_UNKNOWN")
		image := p.push(p.repo, "", p.Image(1, 100))
		if got, _ := p.page(list, "tags"); len(got) != 0 {
			p.Errorf("tags before there are any: %q", got)
		}
		want := []string{"a", "A", "_", "0", "10", "2", "a-b", "a.b", "a_b", "aB", "b", "Z", "latest", "v1"}
		for _, tag := range want {
			p.want(201, "PUT", wire.Manifest(p.repo, tag), image.Data, "Content-Type", image.MediaType)
		}
		slices.Sort(want) // by bytes
		if got, _ := p.page(list, "tags"); !slices.Equal(got, want) {
			p.Errorf("tags %q, want %q", got, want)
		}
		var named struct{ Name string }
		p.must(json.Unmarshal(p.want(200, "GET", list, nil).Body, &named))
		if named.Name != p.repo {
			p.Errorf("the tags of %q", named.Name)
		}
		for n := 1; n <= len(want)+1; n++ {
			to := fmt.Sprintf("%s?n=%d", list, n)
			first, next := p.page(to, "tags")
			if !slices.Equal(first, want[:min(n, len(want))]) {
				p.Errorf("n=%d: %q", n, first)
			}
			if (next == "") != (n >= len(want)) {
				p.Errorf("n=%d: the next page is %q", n, next)
			}
			if got := p.pages(to, "tags"); !slices.Equal(got, want) {
				p.Errorf("in pages of %d: %q", n, got)
			}
		}
		for i, last := range want {
			if got, _ := p.page(list+"?last="+last, "tags"); !slices.Equal(got, want[i+1:]) {
				p.Errorf("after %s: %q", last, got)
			}
			if got, _ := p.page(list+"?n=2&last="+last, "tags"); !slices.Equal(got, want[i+1:min(i+3, len(want))]) {
				p.Errorf("two after %s: %q", last, got)
			}
		}
		if got, _ := p.page(list+"?last=a-a", "tags"); !slices.Equal(got, want[slices.Index(want, "a-b"):]) {
			p.Errorf("after a tag that is not there: %q", got)
		}
		if got, next := p.page(list+"?n=0", "tags"); len(got) != 0 || next != "" {
			p.Errorf("n=0: %q, next %q", got, next)
		}
		for _, bad := range []string{"-1", "a", "1.5", "99999999999999999999"} {
			if resp := p.do("GET", list+"?n="+bad, nil); resp.Status < 400 || resp.Status >= 500 {
				p.Errorf("n=%s: %d", bad, resp.Status)
			}
		}
	})
}

// The catalog shows each caller what that caller may pull, in pages.
func TestCatalog(t *testing.T) {
	each(t, func(p *probe) {
		var all []string
		for _, name := range []string{"a", "a/b", "a-b", "b", "public", "z/z"} {
			p.pushed(p.org+"/"+name, p.Blob(10))
			all = append(all, p.org+"/"+name)
		}
		p.Public(p.T, p.org+"/public")
		slices.Sort(all)
		user := p.User(p.T, "cathy-"+p.name)
		p.Grant(p.T, p.org+"/a/b", user.User, "read")
		for name, c := range map[string]struct {
			p    *probe
			want []string
		}{
			"administrator": {p, all},
			"user":          {p.as(user), []string{p.org + "/a/b", p.org + "/public"}},
			"anonymous":     {p.as(noLogin), []string{p.org + "/public"}},
		} {
			for _, n := range []int{1, 2, 1000} {
				if name == "anonymous" && c.p.do("GET", "/v2/_catalog", nil).Status == 401 {
					continue // nobody is shown nothing
				}
				var got []string
				for _, repo := range c.p.pages(fmt.Sprintf("/v2/_catalog?n=%d", n), "repositories") {
					if len(repo) > len(p.org) && repo[:len(p.org)+1] == p.org+"/" {
						got = append(got, repo)
					}
				}
				if !slices.Equal(got, c.want) {
					p.Errorf("%s sees %q in pages of %d, want %q", name, got, n, c.want)
				}
			}
		}
	})
}
