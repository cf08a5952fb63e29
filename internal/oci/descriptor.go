package oci

import "strings"

// The media types that Berth takes as manifests.
const (
	MediaImage       = "application/vnd.oci.image.manifest.v1+json"
	MediaIndex       = "application/vnd.oci.image.index.v1+json"
	MediaArtifact    = "application/vnd.oci.artifact.manifest.v1+json" // retired from the image-spec; clients of its time still push it
	MediaDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	MediaDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Descriptor describes content that something else refers to (image-spec,
// Content Descriptors), in the members that a registry acts on. It marshals
// as an entry of the referrers list.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"` // in bytes
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Foreign reports whether the content may live elsewhere, so that a
// repository can hold a manifest which names it without holding the content:
// layers that must not be distributed, and those with addresses of their own.
func (d Descriptor) Foreign() bool {
	return len(d.URLs) > 0 ||
		strings.HasPrefix(d.MediaType, "application/vnd.oci.image.layer.nondistributable.v1.") ||
		strings.HasPrefix(d.MediaType, "application/vnd.docker.image.rootfs.foreign.")
}
