// Package helm reads Helm charts: the archive, its Chart.yaml, the provenance
// file beside it, and the line of an index that a version becomes. It believes
// nothing of what comes, and knows no storage.
package helm

// The media types of a chart as an OCI artifact.
const (
	ConfigType     = "application/vnd.cncf.helm.config.v1+json"
	ChartType      = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	ProvenanceType = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// Bounds of what one chart may take, in bytes.
const (
	MaxMetadata   = 1 << 20   // of Chart.yaml, or of the same as JSON
	MaxProvenance = 1 << 20   //
	MaxFile       = 5 << 20   // of one file of the archive, unpacked; what helm itself reads
	MaxUnpacked   = 100 << 20 // of all of them
	MaxFiles      = 10_000    // entries of the archive
)
