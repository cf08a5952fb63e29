package clients

import (
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
)

// Whoever may log in, in each form there is, may push; nobody else.
func TestLogin(t *testing.T) {
	each(t, "login", func(t *testing.T, f *fixture) {
		image := f.content.Image(1, 100)
		layout := f.layout(t, image, "v1")
		user := f.User(t, "ursula")
		f.Grant(t, f.org, "ursula", "edit")
		forms := map[string]berthtest.Login{
			"password of an administrator": f.Admin(),
			"password of a user":           user,
			"account and user":             {User: "admin/ursula", Password: user.Password},
			"access key":                   f.Key(t, "ursula"),
		}
		for name, l := range forms {
			t.Run(name, func(t *testing.T) {
				repo := strings.ReplaceAll(name, " ", "-")
				h := f.newHome(t)
				h.RunInput(l.Password, "crane", "auth", "login", f.Host, "--username", l.User, "--password-stdin")
				h.Run("crane", "push", layout, f.ref(repo+":v1"))
				f.holds(t, repo, "v1", image)
			})
		}
		wrong := map[string]berthtest.Login{
			"wrong password":   {User: "ursula", Password: "wrong"},
			"unknown user":     {User: "nobody", Password: user.Password},
			"unknown key":      {User: "region-1@AKUNKNOWN", Password: strings.Repeat("0", 64)},
			"no login at all":  {},
			"secret as it was": {User: forms["access key"].User, Password: user.Password},
		}
		for name, l := range wrong {
			t.Run(name, func(t *testing.T) {
				h := f.newHome(t)
				if l.User != "" {
					h.RunInput(l.Password, "crane", "auth", "login", f.Host, "--username", l.User, "--password-stdin")
				}
				if said := h.Fails("crane", "push", layout, f.ref("refused:v1")); !strings.Contains(said, "UNAUTHORIZED") && !strings.Contains(said, "401 Unauthorized") {
					t.Errorf("crane does not say that it is not authorized: %s", said)
				}
				f.gone(t, "refused", "v1")
			})
		}
	})
}

// A repository is pulled without login once it is public, and not before.
func TestAnonymousPull(t *testing.T) {
	each(t, "anonymous", func(t *testing.T, f *fixture) {
		index := f.push(t, "app", "v1", f.content.Index("amd64", "arm64"))
		h := f.newHome(t)
		h.Fails("crane", "pull", "--format", "oci", f.ref("app:v1"), h.Path("refused"))
		f.Public(t, f.repo("app"))
		h.Run("crane", "pull", "--format", "oci", f.ref("app:v1"), h.Path("pulled"))
		same(t, h.Path("pulled"), "", index)
		h.Run("skopeo", append([]string{"--insecure-policy", "copy", "--all"}, append(f.skopeo("src"), "docker://"+f.ref("app:v1"), "oci:"+h.Path("skopeo")+":v1")...)...)
		same(t, h.Path("skopeo"), "v1", index)
		if said := h.Fails("crane", "tag", f.ref("app:v1"), "mine"); !strings.Contains(said, "UNAUTHORIZED") {
			t.Errorf("an anonymous push is refused with %s", said)
		}
		f.gone(t, "app", "mine")
	})
}

// A user who may only read is told so on the first request of a push.
func TestReaderMayNotPush(t *testing.T) {
	each(t, "reader", func(t *testing.T, f *fixture) {
		index := f.push(t, "app", "v1", f.content.Index("amd64"))
		reader := f.User(t, "rita")
		f.Grant(t, f.repo("app"), "rita", "read")
		f.RunInput(reader.Password, "crane", "auth", "login", f.Host, "--username", reader.User, "--password-stdin")
		f.Run("crane", "pull", "--format", "oci", f.ref("app:v1"), f.Path("pulled"))
		same(t, f.Path("pulled"), "", index)
		said := f.Fails("crane", "push", f.layout(t, f.content.Image(1, 100), "v2"), f.ref("app:v2"))
		if !strings.Contains(said, "DENIED") {
			t.Errorf("crane does not say DENIED: %s", said)
		}
		f.gone(t, "app", "v2")
		if said := f.Fails("crane", "digest", f.ref("other:v1")); strings.Contains(said, "500") {
			t.Errorf("a repository that the user may not know of: %s", said)
		}
	})
}
