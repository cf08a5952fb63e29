package chart

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"slices"
	"sync"
)

// A chunk is a run of versions of one chart as the index has it. It is kept
// from one index to the next, with its compressed form, so that a push writes
// and compresses the versions around it and not the whole index.
type chunk struct {
	of   []*Version
	head bool // it begins with the chart's name
	text []byte
	zip  func() []byte // blocks of DEFLATE that end with a byte
}

// perChunk is how many versions a chunk has on average.
const perChunk = 64

// chunks splits the versions of a chart. Where depends on the versions at the
// seams alone, so that one more moves no other seam.
func (v *versions) chunks() (all [][]*Version) {
	begin := 0
	for i, n := range v.list {
		h := fnv.New32a()
		_, _ = h.Write([]byte(n.Version)) // does not fail
		if h.Sum32()%perChunk == 0 {
			all = append(all, v.list[begin:i+1])
			begin = i + 1
		}
	}
	if begin < len(v.list) {
		all = append(all, v.list[begin:])
	}
	return all
}

// chunk finds the chunk of these versions among those of the last index, or
// makes it.
func (g *group) chunk(of []*Version, head bool) *chunk {
	if c := g.chunks[of[0]]; c != nil && c.head == head && slices.Equal(c.of, of) {
		return c
	}
	c := &chunk{of: slices.Clone(of), head: head}
	size := len(of[0].Name) + len("  :\n")
	for _, n := range of {
		size += len(n.Entry) + around
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	if head {
		b.WriteString("  " + keyOf(of[0].Name) + ":\n")
	}
	for _, n := range of {
		n.write(b)
	}
	c.text = b.Bytes()
	c.zip = sync.OnceValue(func() []byte { return deflate(c.text) })
	return c
}

// around are the bytes of a version in an index beside its metadata.
const around = 300

// deflate compresses text to blocks that more can follow (RFC 1951: the last
// one is empty and stored, which brings it to the end of a byte).
func deflate(text []byte) []byte {
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err == nil {
		_, err = z.Write(text)
	}
	if err == nil {
		err = z.Flush()
	}
	if err != nil {
		panic(err) // memory does not fail
	}
	return slices.Clip(b.Bytes())
}

// gzipOf puts one gzip member (RFC 1952) together of compressed texts.
func gzipOf(texts [][]byte, zipped [][]byte) []byte {
	header := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} // DEFLATE, no time, of no system
	last := []byte{1, 0, 0, 0xff, 0xff}                    // an empty block, the last
	size, sum, length := len(header)+len(last)+8, uint32(0), uint32(0)
	for i := range texts {
		sum = crc32.Update(sum, crc32.IEEETable, texts[i])
		length += uint32(len(texts[i]))
		size += len(zipped[i])
	}
	out := append(make([]byte, 0, size), header...)
	for _, z := range zipped {
		out = append(out, z...)
	}
	out = append(out, last...)
	out = binary.LittleEndian.AppendUint32(out, sum)
	return binary.LittleEndian.AppendUint32(out, length)
}
