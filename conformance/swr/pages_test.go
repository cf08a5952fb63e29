package swr

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
)

// What stands for docker pushes an image without layers; everything that is
// refused ends the script.
const pagePrelude = `set -eo pipefail
curl() { command curl --fail-with-body "$@"; }
berth() { "$PROGRAM" "$@" --data "$DATA"; }
docker() {
	[ "$1" = push ] || return 0
	local ref=${2#*/} empty=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
	curl -sS -u "admin:$PASSWORD" "$BERTH/v2/${ref%:*}/blobs/uploads/?digest=$empty" -H 'Content-Type: application/octet-stream' -d '{}'
	curl -sS -u "admin:$PASSWORD" -X PUT "$BERTH/v2/${ref%:*}/manifests/${ref##*:}" -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' -d '{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
		"config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": "'$empty'"}}'
}
`

// pageBlocks returns the commands that a page of docs/ shows for a shell, each
// block as one text, with the address of the server.
func pageBlocks(t *testing.T, s *berthtest.Server, page string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	fenced, open := false, false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			fenced, open = !fenced, false
			continue
		}
		command, indented := strings.CutPrefix(line, "    ")
		switch {
		case !fenced && !indented:
			open = false
			continue
		case !open:
			blocks = append(blocks, "")
			open = true
		}
		blocks[len(blocks)-1] += command
	}
	address := strings.NewReplacer("127.0.0.1:5000", s.Host, "https://registry.example.com", s.URL())
	for i := range blocks {
		blocks[i] = address.Replace(blocks[i])
	}
	return blocks
}

// The commands of the pages work as they stand there, one page after the other.
func TestPages(t *testing.T) {
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			berthtest.Missing(t, berthtest.Clients, "%s is not here", program)
		}
	}
	s := berthtest.Start(t, berthtest.Options{})
	script := pagePrelude
	for _, p := range []struct {
		page  string
		has   string // the blocks that are run
		count int
	}{
		{"management.md", "", 9}, {"archives.md", "curl ", 2}, {"rules.md", "/retentions", 1}, {"undo.md", "/v2/manage/settings", 1}, {"charts.md", `"Charts of the platform team"`, 1},
		{"credentials.md", "/v2/manage/credentials", 1}, {"credentials.md", "berth credential create --description", 1}, {"webhooks.md", "/webhooks", 1},
	} {
		n := 0
		for _, block := range pageBlocks(t, s, p.page) {
			if strings.Contains(block, p.has) && !strings.Contains(block, "required_providers") {
				script += block + "\n"
				n++
			}
		}
		if n < p.count {
			t.Errorf("%s has %d such blocks, want %d", p.page, n, p.count)
		}
		if p.page == "management.md" { // later pages call the organization web
			script += "berth org create web\n"
		}
	}
	c := exec.CommandContext(t.Context(), "bash")
	c.Dir = t.TempDir()
	c.Stdin = strings.NewReader(script)
	c.Env = append(c.Environ(), "PROGRAM="+s.Binary(), "DATA="+s.Data, "BERTH="+s.URL(), "URL="+s.URL(), "PASSWORD="+s.Admin().Password,
		"ALICE_PASSWORD=a-password-of-alice", "BOB_PASSWORD=a-password-of-bob")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, script)
	}
}
