package clients

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// What the docker command does without an engine: it logs in by itself.
func TestDockerLogin(t *testing.T) {
	each(t, "docker", func(t *testing.T, f *fixture) {
		if f.TLS() {
			// The command reads no other trust than the system's.
			ca, err := os.ReadFile(f.CA())
			if err != nil {
				t.Fatal(err)
			}
			dir := f.Path(".docker/certs.d/" + f.Host)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/ca.crt", ca, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out := f.RunInput(f.creds.Password, "docker", "login", "--username", f.creds.User, "--password-stdin", f.Host); !strings.Contains(out, "Login Succeeded") {
			t.Errorf("docker login: %s", out)
		}
		text, err := os.ReadFile(f.Path(".docker/config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Auths map[string]struct{ Auth string }
		}
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		if config.Auths[f.Host].Auth == "" {
			t.Errorf("docker kept no login: %s", text)
		}
		// What docker keeps is what others log in with.
		image := f.content.Image(2, 1000)
		f.Run("crane", "push", f.layout(t, image, "v1"), f.ref("app:v1"))
		f.holds(t, "app", "v1", image)
		f.Run("docker", "logout", f.Host)
		f.Fails("crane", "digest", f.ref("app:v1"))

		wrong := f.newHome(t)
		if said := wrong.Fails("docker", "login", "--username", f.creds.User, "--password", "wrong", f.Host); !strings.Contains(said, "unauthorized") && !strings.Contains(said, "401") {
			t.Errorf("docker login with a wrong password: %s", said)
		}
	})
}
