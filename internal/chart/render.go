package chart

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"berth.dev/berth/internal/helm"
)

// ContextPath is where chart groups are served: the plugin of helm that uploads
// finds the address for that by it.
const ContextPath = "/chart"

// An Index is an index.yaml. It is shared: read only.
type Index struct {
	ETag     string // without quotes; that of the compressed form ends in -gzip
	Modified time.Time
	Charts   []Chart

	changes int64
	bytes   int64 // that it and what it is made of take
	parts   []*chunk
	body    func() []byte
	zip     func() []byte
}

// A Chart is a chart of an index with its versions, the newest first.
type Chart struct {
	Name     string
	Versions []*Version
}

// Body is the text. It is made when it is first asked for.
func (x *Index) Body() []byte { return x.body() }

// Gzip is the body compressed. It is made when it is first asked for.
func (x *Index) Gzip() []byte { return x.zip() }

// version is what the form of the index has: where it changes, so do the tags.
const version = "1"

// render writes the index: the chunks that are new, and where the others are.
func (g *group) render(k key, changes int64) *Index {
	all := g.sorted()
	x := &Index{
		ETag:     version + "." + strconv.FormatInt(k.id, 36) + "." + strconv.FormatInt(k.created, 36) + "." + strconv.FormatInt(changes, 36),
		Modified: time.UnixMicro(g.last).UTC(), Charts: make([]Chart, len(all)), changes: changes,
	}
	if g.last == 0 {
		x.Modified = time.UnixMicro(k.created).UTC()
	}
	head := "apiVersion: v1\nentries:\n"
	if len(all) == 0 {
		head = "apiVersion: v1\nentries: {}\n"
	}
	x.parts = append(x.parts, whole(head))
	chunks, size := map[*Version]*chunk{}, 0
	for i, v := range all {
		x.Charts[i] = Chart{v.name, v.list}
		for k, of := range v.chunks() {
			c := g.chunk(of, k == 0)
			chunks[of[0]] = c
			x.parts = append(x.parts, c)
			size += len(c.text)
			for _, n := range of {
				x.bytes += int64(len(n.Metadata)) + around
			}
		}
	}
	g.chunks = chunks
	x.parts = append(x.parts, whole("generated: \""+x.Modified.Format(time.RFC3339Nano)+"\"\nserverInfo:\n  contextPath: "+ContextPath+"\n"))
	const forms = 3 // the entries of versions, the chunks, and the body
	x.bytes += int64(forms*size + size/4)
	x.body = sync.OnceValue(func() []byte { return bytes.Join(x.texts(), nil) })
	x.zip = sync.OnceValue(func() []byte {
		zipped := make([][]byte, len(x.parts))
		for i, c := range x.parts {
			zipped[i] = c.zip()
		}
		return gzipOf(x.texts(), zipped)
	})
	return x
}

// whole is a chunk without versions.
func whole(text string) *chunk {
	return &chunk{text: []byte(text), zip: func() []byte { return deflate([]byte(text)) }}
}

func (x *Index) texts() [][]byte {
	texts := make([][]byte, len(x.parts))
	for i, c := range x.parts {
		texts[i] = c.text
	}
	return texts
}

// plain are the words that YAML cannot take for anything but text.
var plain = regexp.MustCompile(`^[a-z][a-z0-9]*[-_.a-z0-9]*$`)

// keyOf is a chart's name as a key of YAML, which takes some words for numbers
// or for yes and no.
func keyOf(name string) string {
	switch name {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
	default:
		if plain.MatchString(name) {
			return name
		}
	}
	return strconv.Quote(name)
}

// sumOf is a digest in YAML: one without letters would be a number.
func sumOf(sum string) string {
	if strings.ContainsAny(sum, "abcdf") {
		return sum
	}
	return strconv.Quote(sum)
}

func (n *Version) write(b *bytes.Buffer) {
	b.WriteString("  - created: \"")
	b.Write(n.Created.AppendFormat(b.AvailableBuffer(), time.RFC3339Nano))
	b.WriteString("\"\n    digest: ")
	b.WriteString(sumOf(n.Sum()))
	b.WriteString("\n    urls:\n    - ")
	b.WriteString(n.Path())
	b.WriteByte('\n')
	b.WriteString(n.Entry)
}

// Sum is the digest of the archive as helm compares it: without the algorithm
// where that is SHA-256.
func (n *Version) Sum() string { return strings.TrimPrefix(string(n.Digest), "sha256:") }

// Path is where the archive is, beside the index.
func (n *Version) Path() string { return "charts/" + helm.FileOf(n.Name, n.Version) }

// AppendJSON writes the version as the API of charts shows it: its metadata
// with address, time and digest.
func (n *Version) AppendJSON(b []byte) []byte {
	b = append(b, `{"urls":["`...)
	b = append(b, n.Path()...) // of names and versions without anything to escape
	b = append(b, `"],"created":"`...)
	b = n.Created.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","digest":"`...)
	b = append(b, n.Sum()...)
	b = append(b, `",`...)
	return append(b, n.Metadata[1:]...) // an object that is never empty
}
