package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/tool"
)

// A guideStep is a step of a guide.
type guideStep struct {
	Client, Title string
	Commands      []string
}

// guide asks the management API for a guide, with a credential alone.
func (f *fixture) guide(t *testing.T, topic, org, secret string) []guideStep {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL()+"/v2/manage/guides/"+topic+"?namespace="+org, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	resp, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var g struct{ Steps []guideStep }
	if err := json.NewDecoder(resp.Body).Decode(&g); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the guide to %s: %s, %v", topic, resp.Status, err)
	}
	return g.Steps
}

// follow runs, as they are, the commands of a guide that are for one client and
// those that are for all; the secret is typed in when a command asks for it.
// Those with a word of without are left out. It returns how many there were.
func follow(t *testing.T, h *tool.Home, steps []guideStep, client, secret string, without ...string) int {
	t.Helper()
	script := []string{"set -eo pipefail"}
	n := 0
	for _, s := range steps {
		if s.Client != "" && s.Client != client {
			continue
		}
	commands:
		for _, c := range s.Commands {
			for _, w := range without {
				if strings.Contains(c, w) {
					continue commands
				}
			}
			script = append(script, c)
			n++
		}
	}
	h.RunInput(secret+"\n", "bash", "-c", strings.Join(script, "\n"))
	return n
}

// toolHome is a home in which a shell finds the clients where install.sh put
// them, and podman keeps to itself.
func (f *fixture) toolHome(t *testing.T, client string) *tool.Home {
	t.Helper()
	if !tool.Has(client) {
		berthtest.Missing(t, berthtest.Clients, "%s is not here: run conformance/install.sh", client)
	}
	h := f.credentialHome(t)
	dir := os.Getenv("BERTH_TOOLS")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".cache", "berth-tools")
	}
	dirs := filepath.Join(dir, "bin") + ":" + os.Getenv("PATH")
	if client == "helm4" { // guides call it helm
		if err := os.Mkdir(h.Path("bin"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "bin", client), h.Path("bin/helm")); err != nil {
			t.Fatal(err)
		}
		dirs = h.Path("bin") + ":" + dirs
	}
	h.Set("PATH=" + dirs)
	for name, text := range map[string]string{
		"storage.conf":    "[storage]\ndriver = \"vfs\"\nrunroot = \"" + h.Path("run") + "\"\ngraphroot = \"" + h.Path("storage") + "\"\n",
		"containers.conf": "[engine]\nevents_logger = \"none\"\n",
		"registries.conf": "",
	} {
		if err := os.WriteFile(h.Path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.Set("CONTAINERS_STORAGE_CONF=" + h.Path("storage.conf"))
	h.Set("CONTAINERS_CONF=" + h.Path("containers.conf"))
	h.Set("CONTAINERS_REGISTRIES_CONF=" + h.Path("registries.conf"))
	return h
}

// The commands of the guides work as they are printed.
func TestGuides(t *testing.T) {
	each(t, "guides", func(t *testing.T, f *fixture) {
		user := f.User(t, "gus-"+f.name).User
		f.Grant(t, f.org, user, "edit")
		secret := f.Credential(t, user, "--expires", "1h").Secret
		docker := images.New(t.Name())
		docker.Docker = true
		image := docker.Image(2, 1000)
		saved := func(t *testing.T, h *tool.Home, name string) string {
			t.Helper()
			if err := image.WriteDockerArchive(h.Path("alpine.tar"), name); err != nil {
				t.Fatal(err)
			}
			return h.Path("alpine.tar")
		}
		atLeast := func(t *testing.T, want, got int) {
			t.Helper()
			if got < want {
				t.Errorf("%d commands were run, want %d", got, want)
			}
		}

		t.Run("crane", func(t *testing.T) {
			h := f.toolHome(t, "crane")
			saved(t, h, "alpine:latest")
			atLeast(t, 3, follow(t, h, f.guide(t, "push", f.org, secret), "crane", secret))
			if f.digest(t, "alpine", "latest") == "" {
				t.Fatal("nothing was pushed")
			}
			h = f.toolHome(t, "crane")
			atLeast(t, 3, follow(t, h, f.guide(t, "pull", f.org, secret), "crane", secret))
			if _, err := os.Stat(h.Path("alpine.tar")); err != nil {
				t.Error(err)
			}
		})
		t.Run("podman", func(t *testing.T) {
			if os.Getuid() != 0 {
				berthtest.Missing(t, berthtest.Clients, "podman needs root")
			}
			h := f.toolHome(t, "podman")
			h.Run("podman", "load", "-q", "-i", saved(t, h, "localhost/alpine:latest"))
			atLeast(t, 4, follow(t, h, f.guide(t, "push", f.org, secret), "podman", secret))
			h = f.toolHome(t, "podman")
			atLeast(t, 3, follow(t, h, f.guide(t, "pull", f.org, secret), "podman", secret))
			if out := h.Run("podman", "images", "-q", f.ref("alpine:latest")); out == "" {
				t.Error("nothing was pulled")
			}
		})
		t.Run("logins", func(t *testing.T) {
			steps := f.guide(t, "login", f.org, secret)
			for _, client := range []string{"docker", "podman", "crane", "helm"} {
				atLeast(t, 2, follow(t, f.toolHome(t, client), steps, client, secret))
			}
		})
	})
}

// So do those for charts, by the way of images and by that of repositories.
func TestChartGuides(t *testing.T) {
	each(t, "chart-guides", func(t *testing.T, f *fixture) {
		for _, helm := range []string{"helm", "helm4"} {
			t.Run(helm, func(t *testing.T) { chartGuides(t, f, helm) })
		}
	})
}

func chartGuides(t *testing.T, f *fixture, helm string) {
	group := helm + "-" + f.name
	if out, err := f.Command("", "chart-group", "create", group); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	user := f.User(t, "gala-"+group).User
	f.Grant(t, group, user, "edit")
	secret := f.Credential(t, user, "--expires", "1h").Secret
	push, pull := f.guide(t, "push", group, secret), f.guide(t, "pull", group, secret)
	h := f.toolHome(t, helm)
	h.Run(helm, "create", "mychart")
	if n := follow(t, h, push, "helm", secret); n != 5 {
		t.Errorf("%d commands push a chart, want 5", n)
	}
	// The file is there, so that the upload is refused: 409.
	if said := h.FailsInput(secret+"\n", "bash", "-c", "set -eo pipefail\n"+push[0].Commands[0]+"\n"+commandOf(t, push, "curl")); !strings.Contains(said, "409") {
		t.Errorf("curl says %s", said)
	}
	pulled := f.toolHome(t, helm)
	if n := follow(t, pulled, pull, "helm", secret, "helm install"); n != 7 {
		t.Errorf("%d commands pull a chart, want 7", n)
	}
	if _, err := os.Stat(pulled.Path("mychart-1.0.0.tgz")); err != nil {
		t.Error(err)
	}
	// Uploaded by curl alone, under the next version.
	h.Run(helm, "package", "mychart", "--version", "2.0.0")
	upload := strings.ReplaceAll(commandOf(t, push, "curl"), "1.0.0", "2.0.0")
	h.RunInput(secret+"\n", "bash", "-c", "set -eo pipefail\n"+push[0].Commands[0]+"\n"+upload)
	if out := pulled.Run(helm, "repo", "update", group); out == "" {
		t.Error("helm says nothing")
	}
	if out := pulled.Run(helm, "search", "repo", group+"/", "--versions"); !strings.Contains(out, "2.0.0") || !strings.Contains(out, "1.0.0") {
		t.Errorf("helm finds %s", out)
	}
}

// commandOf is the one command of a client.
func commandOf(t *testing.T, steps []guideStep, client string) string {
	t.Helper()
	for _, s := range steps {
		if s.Client == client && len(s.Commands) == 1 {
			return s.Commands[0]
		}
	}
	t.Fatalf("there is no command for %s", client)
	return ""
}
