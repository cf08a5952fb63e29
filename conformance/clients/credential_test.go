package clients

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/tool"
)

// A client of credentials: how it logs in, and something that takes a login.
type credentialClient struct {
	login []string // behind it: --username X --password-stdin
	try   func(h *tool.Home) []string
}

// credentialClients are ready for work in the organization of the fixture, which
// holds the image app:v1.
func (f *fixture) credentialClients(t *testing.T) map[string]credentialClient {
	t.Helper()
	transport := []string{"--plain-http"}
	trust := []string{"--tls-verify=false"}
	if f.TLS() {
		transport, trust = []string{"--ca-file", f.CA()}, []string{"--cert-dir", f.CertDir()}
	}
	docker := []string{"docker", "login", f.Host}
	helm := append([]string{"helm", "registry", "login", f.Host}, transport...)
	podman := append([]string{"podman", "login", f.Host}, trust...)
	return map[string]credentialClient{
		"crane": {[]string{"crane", "auth", "login", f.Host}, func(*tool.Home) []string { return []string{"crane", "manifest", f.ref("app:v1")} }},
		// These log in by asking the registry.
		"docker": {docker, nil},
		"helm":   {helm, nil},
		"podman": {podman, func(h *tool.Home) []string {
			return append([]string{"skopeo", "inspect", "--raw"}, append(f.skopeo(""), "docker://"+f.ref("app:v1"))...)
		}},
	}
}

// log logs a client in under a name that nobody has.
func (c credentialClient) log(secret string) (args []string, input string) {
	return append(c.login[1:len(c.login):len(c.login)], "--username", "whoever", "--password-stdin"), secret
}

// Every client logs in by a credential under any name, and what it may is over
// with the very request that follows its end.
func TestCredentials(t *testing.T) {
	each(t, "credentials", func(t *testing.T, f *fixture) {
		index := f.push(t, "app", "v1", f.content.Index("amd64"))
		user := f.User(t, "cleo-"+f.name).User
		f.Grant(t, f.org, user, "edit")
		for name, client := range f.credentialClients(t) {
			t.Run(name, func(t *testing.T) {
				h := f.credentialHome(t)
				c := f.Credential(t, user, "--expires", "1h")
				args, input := client.log(c.Secret)
				login := func() { t.Helper(); h.RunInput(input, client.login[0], args...) }
				works := func() {
					t.Helper()
					login()
					if client.try != nil {
						try := client.try(h)
						h.Run(try[0], try[1:]...)
					}
				}
				fails := func(says string) {
					t.Helper()
					if client.try != nil { // with the login that it keeps
						try := client.try(h)
						h.Fails(try[0], try[1:]...)
					}
					if name == "crane" {
						return // it asks nobody
					}
					said := h.FailsInput(input, client.login[0], args...)
					// Not every client repeats what it was told.
					if !strings.Contains(said, says) && !strings.Contains(said, "401") && !strings.Contains(said, "invalid username/password") {
						t.Errorf("%s says of a credential that is over: %s", name, said)
					}
				}
				works()
				c.Do(t, "disable")
				fails("disabled")
				c.Do(t, "enable")
				works()
				c.Do(t, "delete")
				fails("not known")
				ends := time.Now().Add(4 * time.Second).Truncate(time.Second)
				c = f.Credential(t, user, "--expires", ends.UTC().Format(time.RFC3339))
				args, input = client.log(c.Secret)
				works()
				time.Sleep(time.Until(ends.Add(10 * time.Millisecond)))
				fails("expired")
			})
		}
		f.holds(t, "app", "v1", index)
	})
}

// credentialHome is a home whose docker trusts the registry.
func (f *fixture) credentialHome(t *testing.T) *tool.Home {
	t.Helper()
	h := f.newHome(t)
	if f.TLS() {
		ca, err := os.ReadFile(f.CA())
		if err != nil {
			t.Fatal(err)
		}
		dir := h.Path(".docker/certs.d/" + f.Host)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/ca.crt", ca, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// Limited credentials do what they are for, and say what they are not for.
func TestLimitedCredentials(t *testing.T) {
	each(t, "limited", func(t *testing.T, f *fixture) {
		index := f.push(t, "app", "v1", f.content.Index("amd64"))
		f.push(t, "other", "v1", f.content.Index("arm64"))
		layout := f.layout(t, f.content.Image(1, 100), "v2")
		pull := f.Credential(t, "admin", "--expires", "1h", "--use", "pull", "--scope", f.repo("app"))
		push := f.Credential(t, "admin", "--expires", "1h", "--use", "push", "--scope", f.org)
		in := func(c berthtest.Credential) *tool.Home {
			h := f.newHome(t)
			h.RunInput(c.Secret, "crane", "auth", "login", f.Host, "--username", "ci", "--password-stdin")
			return h
		}
		refused := func(said string) {
			t.Helper()
			if !strings.Contains(said, "DENIED") || !strings.Contains(said, "with this access credential: it is limited to") {
				t.Errorf("the refusal: %s", said)
			}
		}
		h := in(pull)
		h.Run("crane", "pull", "--format", "oci", f.ref("app:v1"), h.Path("pulled"))
		same(t, h.Path("pulled"), "", index)
		refused(h.Fails("crane", "push", layout, f.ref("app:v2")))
		refused(h.Fails("crane", "manifest", f.ref("other:v1")))
		f.gone(t, "app", "v2")
		h = in(push)
		h.Run("crane", "push", layout, f.ref("app:v2"))
		h.Run("crane", "push", layout, f.ref("new:v2"))
		h.Fails("crane", "push", layout, f.Host+"/"+f.org+"x/app:v2") // a HEAD comes first: its answer has no words
		refused(h.Fails("crane", "delete", f.ref("app:v2")))
		for secret, want := range map[string]int{push.Secret: http.StatusForbidden, f.Credential(t, "admin").Secret: http.StatusOK} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL()+"/v2/manage/overview", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+secret)
			resp, err := f.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("the overview of the account by a credential: %d, want %d", resp.StatusCode, want)
			}
		}
	})
}
