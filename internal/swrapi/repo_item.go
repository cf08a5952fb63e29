package swrapi

// repoItem is a repository in a list, in the second version of the API.
type repoItem struct {
	Name         string   `json:"name"`
	Category     string   `json:"category"`
	Description  string   `json:"description"`
	Size         int64    `json:"size"`
	IsPublic     bool     `json:"is_public"`
	Open         bool     `json:"effective_public,omitempty"` // or its organization is
	NumImages    int64    `json:"num_images"`
	NumDownload  int64    `json:"num_download"`
	CreatedAt    stamp    `json:"created_at"`
	UpdatedAt    stamp    `json:"updated_at"`
	Logo         string   `json:"logo"` // kept empty, as is the next
	URL          string   `json:"url"`
	Path         string   `json:"path"`
	InternalPath string   `json:"internal_path"`
	DomainName   string   `json:"domain_name"`
	Namespace    string   `json:"namespace"`
	Tags         []string `json:"tags"` // at most registry.MaxInlineTags
	Status       bool     `json:"status"`
	TotalRange   int64    `json:"total_range"` // of all pages: clients read until they have as many
}

// repoV3 is the same in the third version.
type repoV3 struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	Category      string `json:"category"`
	Description   string `json:"description"`
	Size          int64  `json:"size"`
	NumImages     int64  `json:"num_images"`
	NumDownload   int64  `json:"num_download"`
	IsPublic      bool   `json:"is_public"`
	Open          bool   `json:"effective_public,omitempty"`
	CreatedAt     stamp  `json:"created_at"`
	UpdatedAt     stamp  `json:"updated_at"`
	DomainName    string `json:"domain_name"`
	NamespaceName string `json:"namespace_name"`
	Status        bool   `json:"status"`
}
