package helm

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/internal/fault"
)

// A Chart is what can be read from an archive.
type Chart struct {
	Metadata
	Readme string // README.md, "" where there is none
	Values string // values.yaml
	Schema string // values.schema.json
	Files  int    // entries of the archive
}

// The files that say what a chart is: charts of apiVersion v1 name those that
// they depend on in a file of its own.
const (
	chartFile        = "Chart.yaml"
	requirementsFile = "requirements.yaml"
)

// wanted are the files of the top folder that are kept, by their names in
// lower case.
func (c *Chart) wanted(name string) *string {
	switch strings.ToLower(name) {
	case "readme.md", "readme", "readme.txt":
		return &c.Readme
	case "values.yaml":
		return &c.Values
	case "values.schema.json":
		return &c.Schema
	}
	return nil
}

// Read reads a chart's archive to its end. What it keeps in memory is bounded by
// MaxFile for each of five files.
//
// Errors: ManifestInvalid with one sentence for everything that is wrong with
// the archive, TooLarge for one that grows beyond the bounds, and those of src.
func Read(src io.Reader) (*Chart, error) {
	in := &source{r: src}
	c, err := read(in)
	if in.err != nil {
		return nil, in.err // not the archive is broken, but the way to it
	}
	return c, err
}

// source remembers why reading failed, so that nobody takes it for the archive.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func read(src io.Reader) (*Chart, error) {
	buf := bufio.NewReader(src)
	if head, _ := buf.Peek(2); len(head) == 0 {
		return nil, fault.New(fault.ManifestInvalid, "The chart is empty; it is an archive that `helm package` makes.")
	}
	z, err := gzip.NewReader(buf)
	if err != nil {
		return nil, fault.Wrap(fault.ManifestInvalid, err, "The chart is no gzip file; it is an archive that `helm package` makes.")
	}
	left := &bounded{r: z, left: MaxUnpacked}
	entries := tar.NewReader(left)
	c := &Chart{}
	metadata := map[string][]byte{} // the files that say what the chart is
	seen := map[string]bool{}
	for {
		h, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF):
			if err := left.drain(); err != nil {
				return nil, broken(err)
			}
			return c, c.finish(metadata[chartFile], metadata[requirementsFile])
		case err != nil:
			return nil, broken(err)
		}
		if c.Files++; c.Files > MaxFiles {
			return nil, fault.New(fault.TooLarge, "The chart holds more than %d files.", MaxFiles)
		}
		name, err := member(h)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		if h.Size > MaxFile {
			return nil, fault.New(fault.TooLarge, "The file %s of the chart is larger than %d bytes.", short(h.Name), MaxFile)
		}
		keep, about := c.wanted(name), name == chartFile || name == requirementsFile
		if !about && (keep == nil || *keep != "") {
			continue // tar passes over it
		}
		if seen[name] {
			return nil, fault.New(fault.ManifestInvalid, "The chart holds %s twice.", name)
		}
		seen[name] = true
		b, err := io.ReadAll(entries)
		if err != nil {
			return nil, broken(err)
		}
		if about {
			metadata[name] = append([]byte{}, b...)
			continue
		}
		if !utf8.Valid(b) {
			b = []byte(strings.ToValidUTF8(string(b), "\uFFFD"))
		}
		*keep = string(b)
	}
}

func (c *Chart) finish(chartYAML, requirements []byte) error {
	if chartYAML == nil {
		return fault.New(fault.ManifestInvalid, "The archive is no chart: it has no %s in its top folder.", chartFile)
	}
	m, err := ParseYAML(chartYAML)
	if err == nil && requirements != nil {
		err = m.require(requirements)
	}
	c.Metadata = m
	return err
}

// broken tells why an archive could not be read on.
func broken(err error) error {
	if errors.Is(err, errTooLarge) {
		return fault.New(fault.TooLarge, "The chart is larger than %d bytes when it is unpacked.", MaxUnpacked)
	}
	return fault.Wrap(fault.ManifestInvalid, err, "The chart's archive is damaged.")
}

var drive = regexp.MustCompile(`^[a-zA-Z]:`)

// member is the name of an entry below the top folder, "" for one that is no
// file. Errors: ManifestInvalid for names that would land elsewhere.
func member(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader, tar.TypeXHeader:
		return "", nil
	case tar.TypeReg, tar.TypeDir:
	default:
		return "", fault.New(fault.ManifestInvalid, "The chart holds %s, which is neither a file nor a folder.", short(h.Name))
	}
	name := strings.ReplaceAll(h.Name, `\`, "/")
	climbs := path.IsAbs(name) || drive.MatchString(name) || strings.ContainsRune(name, 0)
	for part := range strings.SplitSeq(name, "/") {
		climbs = climbs || part == ".."
	}
	if climbs {
		return "", fault.New(fault.ManifestInvalid, "The chart holds %s, which would leave its folder.", short(h.Name))
	}
	if h.Typeflag == tar.TypeDir {
		return "", nil
	}
	_, below, ok := strings.Cut(path.Clean(name), "/")
	if !ok {
		return "", fault.New(fault.ManifestInvalid, "The chart holds %s beside its folder; everything is in one folder.", short(h.Name))
	}
	return below, nil
}

var errTooLarge = errors.New("helm: too large")

// bounded fails where more comes than may.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// drain reads what follows the last entry: the sum at the end is checked, and
// it does not go on without end.
func (b *bounded) drain() error {
	_, err := io.Copy(io.Discard, b)
	return err
}
