package swr

import (
	"fmt"
	"strings"
	"testing"
)

// loops bounds what a test repeats: a wrong total would never let it end.
const loops = 50

type row struct {
	Name, Namespace, Category string
	IsPublic                  bool   `json:"is_public"`
	DomainName                string `json:"domain_name"`
	Status                    *bool  `json:"status"`
	TotalRange                int    `json:"total_range"`
}

// repositories pages through a list as the provider does: until the rows are as
// many as each of them says there are.
func (c *terraform) repositories(list, filter string) (all []row) {
	c.Helper()
	for range loops {
		var page []row
		c.read(fmt.Sprintf("%s?filter=%s|limit::10|offset::%d", list, filter, len(all)), &page)
		all = append(all, page...)
		if len(page) == 0 || len(all) == page[0].TotalRange {
			return all
		}
	}
	c.Fatalf("%s does not end", list)
	return nil
}

func TestTerraformReadsRepositories(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		const many = 23
		for i := range many {
			category := []string{"linux", "windows", "other"}[i%3]
			c.do("POST", c.at("/repos"), fmt.Sprintf(`{"repository":"app-%02d","category":%q,"is_public":%t}`, i, category, i == 7), true, 200, 201, 202)
		}
		of := "namespace::" + c.org
		for filter, want := range map[string]int{of: many, of + "|name::app-1": 10, of + "|name::none": 0, of + "|category::linux": 8, "namespace::none-of-these": 0} {
			rows := c.repositories("/v2/manage/repos", filter)
			if len(rows) != want {
				c.Errorf("%s: %d rows, want %d", filter, len(rows), want)
			}
			for _, r := range rows {
				if r.Namespace != c.org || strings.Contains(filter, "linux") && r.Category != "linux" {
					c.Errorf("%s: %s", filter, object(r))
				}
			}
		}
		var organizations struct {
			Namespaces []struct {
				Name      string
				RepoCount *int `json:"repo_count"`
			}
		}
		c.read(namespaces+"?filter=namespace::"+c.org+"|mode::visible", &organizations)
		if len(organizations.Namespaces) != 1 || organizations.Namespaces[0].Name != c.org {
			c.Errorf("the organizations are %s", object(organizations))
		}
		if n := organizations.Namespaces[0].RepoCount; n != nil && *n != many {
			c.Errorf("the organization counts %d repositories", *n)
		}
		c.read(namespaces+"?filter=namespace::none-of-these|mode::visible", &organizations)
		if len(organizations.Namespaces) != 0 {
			c.Errorf("the organizations are %s", object(organizations))
		}
		c.read(namespaces+"?filter=mode::visible", &organizations)

		// By marker, until there is none.
		seen, marker := map[string]bool{}, ""
		for range loops {
			var page struct {
				Repos      []struct{ Name string }
				NextMarker *int `json:"nextMarker"`
			}
			c.read("/v3/manage/repos?limit=10&namespace="+c.org+marker, &page)
			for _, r := range page.Repos {
				seen[r.Name] = true
			}
			if page.NextMarker == nil || *page.NextMarker == -1 {
				break
			}
			marker = fmt.Sprintf("&marker=%d", *page.NextMarker)
		}
		if len(seen) != many {
			c.Errorf("the pages have %d repositories, want %d", len(seen), many)
		}
	})
}

func TestTerraformReadsSharedRepositories(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		const many = 12
		for i := range many {
			name := fmt.Sprintf("app-%02d", i)
			c.do("POST", c.at("/repos"), `{"repository":"`+name+`","is_public":false}`, true, 200, 201, 202)
			c.do("POST", c.at("/repositories/"+name+"/access-domains"), `{"access_domain":"partner","permit":"read","deadline":"forever"}`, true, 200, 201, 202)
		}
		of := "namespace::" + c.org
		for _, r := range c.repositories("/v2/manage/shared-repositories", "center::self|"+of) {
			if r.Namespace != c.org || *r.Status {
				c.Errorf("one's own shares have %s", object(r))
			}
		}
		partner := c.withKey(c.partner)
		rows := partner.repositories("/v2/manage/shared-repositories", "center::thirdparty|"+of)
		for _, r := range rows {
			if r.Namespace != c.org || r.DomainName != "admin" || !*r.Status {
				c.Errorf("others' shares have %s", object(r))
			}
		}
		if len(rows) != many {
			c.Errorf("%d rows, want %d", len(rows), many)
		}
		if rows := partner.repositories("/v2/manage/shared-repositories", "center::thirdparty|"+of+"|name::app-03"); len(rows) != 1 {
			c.Errorf("by name there are %d", len(rows))
		}
		seen, marker := 0, ""
		for range loops {
			var page struct {
				Repos      []struct{ Name string }
				NextMarker *int `json:"nextMarker"`
			}
			partner.read("/v3/manage/shared-repositories?shared_by=thirdparty&limit=5&namespace="+c.org+marker, &page)
			seen += len(page.Repos)
			if page.NextMarker == nil || *page.NextMarker == -1 {
				break
			}
			marker = fmt.Sprintf("&marker=%d", *page.NextMarker)
		}
		if seen != many {
			c.Errorf("by marker there are %d", seen)
		}
	})
}

func TestTerraformReadsTags(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		const many = 12
		image := c.push("team/app", "v00")
		for i := 1; i < many; i++ {
			c.pushImage("team/app", fmt.Sprintf("v%02d", i), image)
		}
		all := c.at("/repos/team$app/tags")
		seen := map[string]bool{}
		for offset := 0; offset < 10*loops; offset += 10 {
			var page []struct {
				Tag     string `json:"Tag"`
				Deleted *string
			}
			h := c.read(fmt.Sprintf("%s?limit=10&offset=%d", all, offset), &page)
			if got, want := h.Get("Content-Range"), fmt.Sprintf("%d-%d/%d", offset, len(page), many); got != want {
				c.Errorf("Content-Range is %q, want %q", got, want)
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				seen[r.Tag] = true
			}
		}
		if len(seen) != many {
			c.Errorf("the pages have %d tags", len(seen))
		}
		// One tag by its name is exactly that one.
		var one struct {
			Tags       []struct{ Tag string }
			NextMarker *string `json:"next_marker"`
		}
		c.read("/v3/manage/namespaces/"+c.org+"/repos/team$app/tags?tag=v01", &one)
		if len(one.Tags) != 1 || one.Tags[0].Tag != "v01" {
			c.Errorf("by name there are %s", object(one))
		}
		marker, count := "", 0
		for range loops {
			var page struct {
				Tags       []struct{ Tag string }
				NextMarker *string `json:"next_marker"`
			}
			c.read("/v3/manage/namespaces/"+c.org+"/repos/team$app/tags?limit=5"+marker, &page)
			count += len(page.Tags)
			if page.NextMarker == nil || *page.NextMarker == "" || *page.NextMarker == "-1" {
				break
			}
			marker = "&marker=" + escaped(*page.NextMarker)
		}
		if count != many {
			c.Errorf("by marker there are %d", count)
		}
	})
}

// The rest of the data sources, each with the loop that the provider runs.
func TestTerraformReadsTheRest(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		image := c.push("team/app", "v1")
		at := c.at("/repos/team$app")
		c.want(at+"/triggers", `[]`)
		c.want(at+"/retentions", `[]`)
		c.want(c.at("/repositories/team$app/access-domains"), `[]`)
		for _, list := range []string{"retentions/histories?limit=10&offset=", "sync_job?filter=limit::10|offset::"} {
			for offset := 0; ; offset += 10 {
				_, body := c.do("GET", at+"/"+list+fmt.Sprint(offset), "", true, 200)
				if string(body) == "[]" || strings.Contains(string(body), `"retention_log":[]`) {
					break
				}
				if offset > 10*loops {
					c.Fatalf("%s does not end", list)
				}
			}
		}
		c.want("/v2/manage/regions", `[{"regionID":"region-2"}]`)
		var quotas struct {
			Quotas []struct {
				QuotaKey   string `json:"quota_key"`
				QuotaLimit *int   `json:"quota_limit"`
				Used       *int
			}
		}
		c.read("/v2/manage/projects/"+c.project+"/quotas", &quotas)
		if len(quotas.Quotas) == 0 || quotas.Quotas[0].QuotaKey != "namespace" || quotas.Quotas[0].QuotaLimit == nil || quotas.Quotas[0].Used == nil {
			c.Errorf("the quotas are %s", object(quotas))
		}
		c.do("GET", "/v2/manage/projects/"+c.world.partner.Project+"/quotas", "", false, 403)
		var overview map[string]any
		c.read("/v2/manage/overview", &overview)
		var report []struct {
			Date  string
			Value *float64
		}
		c.read("/v2/manage/reports/store/daily", &report)
		c.read("/v2/manage/reports/downflow/daily", &report)
		var gates map[string]bool
		c.read("/v2/manage/projects/"+c.project+"/feature-gates", &gates)
		for _, gate := range strings.Fields("enable_experience enable_hss_service enable_image_scan enable_sm3 enable_image_sync enable_cci_service enable_image_label enable_pipeline") {
			if _, ok := gates[gate]; !ok {
				c.Errorf("the gate %s is missing", gate)
			}
		}

		// Signed images: here the name goes out as it is, with its slash.
		subject := image.Descriptor()
		sig := c.content.Artifact("application/vnd.dev.cosign.artifact.sig.v1+json", &subject, nil)
		tag := strings.Replace(string(image.Digest), ":", "-", 1) + ".sig"
		c.pushImage("team/app", tag, sig)
		for offset, found := 0, 0; ; offset += 10 {
			var page struct {
				Total       int
				Accessories []struct {
					SigTag string `json:"sig_tag"`
				}
			}
			c.read(c.at(fmt.Sprintf("/repos/team/app/v1/accessories?limit=10&offset=%d", offset)), &page)
			found += len(page.Accessories)
			if len(page.Accessories) == 0 {
				if found != 1 || page.Total != 1 {
					c.Errorf("%d accessories of %d", found, page.Total)
				}
				break
			}
		}
		var references struct {
			Tags       []string
			NextMarker string `json:"next_marker"`
		}
		c.read(c.at("/repos/team/app/"+tag+"/references?limit=10"), &references)
		if len(references.Tags) != 1 || references.Tags[0] != "v1" {
			c.Errorf("the references are %s", object(references))
		}
	})
}
