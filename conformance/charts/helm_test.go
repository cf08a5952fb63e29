package charts

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// A chart that came by one way is there by the other, and is what it was.
func TestBothWays(t *testing.T) {
	each(t, func(f *fixture) {
		secret, public := f.keys("Ada")
		f.Run(f.helm, "create", "web")
		f.Run(f.helm, "package", "web", "--version", "0.1.0", "--sign", "--key", "Ada", "--keyring", secret)
		f.Run(f.helm, "package", "web", "--version", "1.0.0+build.5")
		f.Run(f.helm, "package", "web", "--version", "1.1.0-rc.1")
		if err := os.Mkdir(f.Path("out"), 0o700); err != nil {
			t.Fatal(err)
		}
		address := "oci://" + f.Host + "/" + f.group
		f.login()
		f.oci("push", "web-0.1.0.tgz", address) // its provenance file goes with it
		f.oci("push", "web-1.1.0-rc.1.tgz", address)
		for _, c := range []struct {
			force  bool
			status int
		}{{false, 201}, {false, 409}, {true, 201}} {
			if got := f.cmPush("web-1.0.0+build.5.tgz", c.force); got != c.status {
				f.t.Errorf("cm-push, force %t: %d", c.force, got)
			}
		}
		if got := f.cmPush("web-0.1.0.tgz", false); got != 409 {
			f.t.Errorf("what helm push brought is uploaded again: %d", got)
		}
		if got := f.cmPush("web/values.yaml", false); got != 400 {
			f.t.Errorf("no chart is uploaded: %d", got)
		}

		f.repository("mine")
		found := f.Run(f.helm, "search", "repo", "mine/", "--versions", "--devel")
		for _, version := range []string{"0.1.0", "1.0.0+build.5", "1.1.0-rc.1"} {
			if !strings.Contains(found, version) {
				f.t.Errorf("%s is not found in\n%s", version, found)
			}
			file := "web-" + version + ".tgz"
			for _, pull := range []func(){
				func() { f.Run(f.helm, "pull", "mine/web", "--version", version, "-d", "out") },
				func() { f.oci("pull", address+"/web", "--version", version, "-d", "out") },
			} {
				pull()
				if !bytes.Equal(f.file("out/"+file), f.file(file)) {
					f.t.Errorf("%s came back different", file)
				}
				if err := os.Remove(f.Path("out/" + file)); err != nil {
					f.t.Error(err)
				}
			}
		}
		if !strings.Contains(f.Run(f.helm, "show", "chart", "mine/web"), "version: 1.0.0+build.5") {
			f.t.Error("the newest version is another")
		}
		for _, rendered := range []string{f.Run(f.helm, "template", "mine/web", "--version", "0.1.0"), f.oci("template", address+"/web", "--version", "0.1.0")} {
			if !strings.Contains(rendered, "kind: Deployment") {
				f.t.Errorf("helm template: %.200s", rendered)
			}
		}

		// The signature is good for whoever has the key, by both ways.
		f.Run(f.helm, "pull", "mine/web", "--version", "0.1.0", "--prov", "-d", "out")
		f.Run(f.helm, "verify", "out/web-0.1.0.tgz", "--keyring", public)
		f.Run(f.helm, "pull", "mine/web", "--version", "0.1.0", "--verify", "--keyring", public, "-d", "out")
		f.oci("pull", address+"/web", "--version", "0.1.0", "--verify", "--keyring", public, "-d", "out")

		// What is deleted is gone from both.
		if status, answer := f.send("DELETE", f.URL()+"/chart/api/"+f.group+"/charts/web/0.1.0", "", nil, false); status != 200 {
			f.t.Errorf("DELETE: %d %s", status, answer)
		}
		f.Run(f.helm, "repo", "update")
		if found := f.Run(f.helm, "search", "repo", "mine/", "--versions"); strings.Contains(found, "0.1.0") {
			f.t.Errorf("it is still found:\n%s", found)
		}
		f.Fails(f.helm, append([]string{"pull", address + "/web", "--version", "0.1.0"}, f.transport()...)...)
	})
}

// A provenance file that comes later, or with the upload, is served and good.
func TestProvenance(t *testing.T) {
	each(t, func(f *fixture) {
		secret, public := f.keys("Ada")
		f.Run(f.helm, "create", "web")
		f.Run(f.helm, "package", "web", "--version", "1.0.0", "--sign", "--key", "Ada", "--keyring", secret)
		prov := f.file("web-1.0.0.tgz.prov")
		api := f.URL() + "/chart/api/" + f.group
		if status, _ := f.send("POST", api+"/prov", "", prov, false); status != 404 {
			f.t.Errorf("before its chart: %d", status)
		}
		if got := f.cmPush("web-1.0.0.tgz", false); got != 201 {
			f.t.Errorf("the chart: %d", got)
		}
		for _, want := range []int{201, 409} {
			if status, answer := f.send("POST", api+"/prov", "", prov, false); status != want {
				f.t.Errorf("the provenance file: %d %s", status, answer)
			}
		}
		f.repository("mine")
		f.Run(f.helm, "pull", "mine/web", "--verify", "--keyring", public)
		other := bytes.Replace(prov, []byte("sha256:"), []byte("sha256:0"), 1)
		if status, _ := f.send("POST", api+"/prov?force", "", other, false); status != 400 {
			f.t.Errorf("one that does not match: %d", status)
		}
	})
}

// Strangers get into a public group alone.
func TestVisibility(t *testing.T) {
	each(t, func(f *fixture) {
		f.Run(f.helm, "create", "web")
		f.Run(f.helm, "package", "web", "--version", "1.0.0")
		f.cmPush("web-1.0.0.tgz", false)
		if out := f.Fails(f.helm, f.repoAdd("private")...); !strings.Contains(out, "401") {
			f.t.Errorf("helm repo add without a password: %s", out)
		}
		f.Fails(f.helm, append([]string{"pull", "oci://" + f.Host + "/" + f.group + "/web"}, f.transport()...)...)
		private := f.group
		f.group += "-open"
		f.berth("chart-group", "create", f.group, "--public")
		f.cmPush("web-1.0.0.tgz", false)
		f.Run(f.helm, f.repoAdd("public")...)
		f.Run(f.helm, "pull", "public/web")
		f.oci("pull", "oci://"+f.Host+"/"+f.group+"/web")
		if got := f.berth("chart", "list", f.group); !strings.Contains(got, "1.0.0") {
			f.t.Errorf("berth chart list: %s", got)
		}
		if got := f.berth("chart-group", "delete", private, "--force", "--output", "json"); !strings.Contains(got, `"chart_count": 1`) {
			f.t.Errorf("berth chart-group delete: %s", got)
		}
		if status, _ := f.send("GET", f.URL()+"/chart/"+private+"/index.yaml", "", nil, false); status != 404 {
			f.t.Errorf("the deleted group: %d", status)
		}
	})
}
