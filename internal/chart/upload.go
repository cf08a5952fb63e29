package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// Hold makes room for an archive in memory, and waits for it where others have
// taken all. Whoever reads one from a client calls it first.
func (c *Charts) Hold(ctx context.Context) (release func(), err error) {
	n := c.reg.MaxChart()
	if err := c.memory.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { c.memory.Release(n) }, nil
}

// Upload stores an archive, with its provenance file where that is not nil, as
// `helm push` would. A version that is there is replaced with force only.
//
// Errors: OrgUnknown, Denied, Unauthorized, ManifestInvalid, TooLarge, Exists,
// Quota, Full.
func (c *Charts) Upload(ctx context.Context, who iam.Caller, group string, archive, provenance []byte, force bool) (*helm.Chart, error) {
	if err := c.reg.MayPushCharts(ctx, who, group); err != nil {
		return nil, err
	}
	if int64(len(archive)) > c.reg.MaxChart() {
		return nil, fault.New(fault.TooLarge, "A chart has at most %d bytes.", c.reg.MaxChart())
	}
	h, err := helm.Read(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	layer := described(helm.ChartType, archive)
	if provenance != nil {
		p, err := helm.ParseProvenance(provenance)
		if err == nil {
			err = p.Matches(h.Name, h.Version, string(layer.Digest))
		}
		if err != nil {
			return nil, err
		}
	}
	name := oci.Name(group + "/" + h.Name)
	if !force {
		if _, err := c.reg.ChartVersion(ctx, who, name, h.Version); err == nil {
			return nil, fault.New(fault.Exists, "%s %s exists already; use force to replace it.", h.Name, h.Version)
		}
	}
	metadata, err := json.Marshal(h.Metadata)
	if err != nil {
		return nil, err
	}
	if err := c.put(ctx, who, name, archive); err != nil {
		return nil, err
	}
	return h, c.store(ctx, who, name, h.Metadata, metadata, layer, provenance, registry.ChartOver{Any: force})
}

// AddProvenance stores a provenance file beside a version that is there. One
// that has another already gets it with force only. Errors: as Upload, RepoUnknown,
// TagUnknown.
func (c *Charts) AddProvenance(ctx context.Context, who iam.Caller, group string, provenance []byte, force bool) error {
	if err := c.reg.MayPushCharts(ctx, who, group); err != nil {
		return err
	}
	p, err := helm.ParseProvenance(provenance)
	if err != nil {
		return err
	}
	if err := helm.CheckName(p.Name); err != nil {
		return err
	}
	if _, err := helm.ParseVersion(p.Version); err != nil {
		return err
	}
	name := oci.Name(group + "/" + p.Name)
	v, err := c.reg.ChartVersion(ctx, who, name, p.Version)
	if err != nil {
		return err
	}
	if err := p.Matches(p.Name, p.Version, string(v.Digest)); err != nil {
		return err
	}
	if v.Provenance != "" && !force {
		return fault.New(fault.Exists, "%s %s has a provenance file already; use force to replace it.", p.Name, p.Version)
	}
	m, err := helm.ParseJSON([]byte(v.Metadata))
	if err != nil {
		return err
	}
	layer := descriptor{helm.ChartType, v.Digest, v.Size}
	return c.store(ctx, who, name, m, []byte(v.Metadata), layer, provenance, registry.ChartOver{Archive: v.Digest})
}

// descriptor is a blob in a manifest.
type descriptor struct {
	MediaType string     `json:"mediaType"`
	Digest    oci.Digest `json:"digest"`
	Size      int64      `json:"size"`
}

func described(media string, b []byte) descriptor {
	return descriptor{media, oci.SHA256.FromBytes(b), int64(len(b))}
}

const imageType = "application/vnd.oci.image.manifest.v1+json"

// store stores what stands around an archive: metadata, provenance, manifest.
func (c *Charts) store(ctx context.Context, who iam.Caller, name oci.Name, m helm.Metadata, metadata []byte, layer descriptor, provenance []byte, over registry.ChartOver) error {
	if err := c.put(ctx, who, name, metadata); err != nil {
		return err
	}
	layers := []descriptor{layer}
	if provenance != nil {
		if err := c.put(ctx, who, name, provenance); err != nil {
			return err
		}
		layers = append(layers, described(helm.ProvenanceType, provenance))
	}
	body, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations"`
	}{2, imageType, described(helm.ConfigType, metadata), layers, annotations(m)})
	if err != nil {
		return err
	}
	_, err = c.reg.PutChart(ctx, who, name, helm.TagOf(m.Version), body, over)
	return err
}

func (c *Charts) put(ctx context.Context, who iam.Caller, name oci.Name, b []byte) error {
	_, err := c.reg.PutBlob(ctx, who, name, int64(len(b)), bytes.NewReader(b), oci.SHA256.FromBytes(b))
	return err
}

// annotations are those that helm gives a manifest, but for the time: the same
// chart is the same manifest.
func annotations(m helm.Metadata) map[string]string {
	const image = "org.opencontainers.image."
	out := map[string]string{}
	for k, v := range m.Annotations {
		if k != "" {
			out[k] = v
		}
	}
	set := func(k, v string) {
		if v != "" {
			out[image+k] = v
		}
	}
	set("description", m.Description)
	set("url", m.Home)
	if len(m.Sources) > 0 {
		set("source", m.Sources[0])
	}
	var authors []string
	for _, p := range m.Maintainers {
		if p.Email != "" {
			authors = append(authors, p.Name+" ("+p.Email+")")
		} else if p.Name != "" {
			authors = append(authors, p.Name)
		}
	}
	set("authors", strings.Join(authors, ", "))
	set("title", m.Name)
	set("version", m.Version)
	return out
}
