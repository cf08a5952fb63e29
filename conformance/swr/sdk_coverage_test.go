package swr

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	swr "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2"
)

// ours are operations of the management API that the SDK has not: they are
// named in documents only, and their wire is Berth's own.
var ours = strings.Fields(`CreateRepoShare ListRepoShares GetRepoShare UpdateRepoShare DeleteRepoShare
	CreateImageArchive ListImageArchives ShowImageArchive UploadImageArchivePart PutImageArchivePart FinishImageArchive DeleteImageArchive
	DownloadImageArchive HeadImageArchive
	CreateRegion ShowRegion UpdateRegion DeleteRegion CheckRegion ShowSyncDifferences ReconcileSync
	CreateCluster ListClusters ShowCluster UpdateCluster DeleteCluster CheckCluster ShowClusterManifest RunTrigger
	SimulateRetention ShowRetentionStatus ConfirmRetention
	CreateNamespaceWebhook ListNamespaceWebhooks ShowNamespaceWebhook UpdateNamespaceWebhook DeleteNamespaceWebhook TestNamespaceWebhook ListNamespaceWebhookDeliveries ShowNamespaceWebhookDelivery RedeliverNamespaceWebhook
	CreateRepoWebhook ListRepoWebhooks ShowRepoWebhook UpdateRepoWebhook DeleteRepoWebhook TestRepoWebhook ListRepoWebhookDeliveries ShowRepoWebhookDelivery RedeliverRepoWebhook
	UpdateNamespace ShowGuide
	CreateAccessCredential ListAccessCredentials ShowAccessCredential UpdateAccessCredential DeleteAccessCredential
	CreateChartGroup ListChartGroups ShowChartGroup UpdateChartGroup DeleteChartGroup CreateChartGroupAuth ShowChartGroupAuth UpdateChartGroupAuth DeleteChartGroupAuth
	ListGroupCharts ShowGroupChart ShowGroupChartVersion DeleteGroupChartVersion SetChartMirror ShowChartMirror RunChartMirror DeleteChartMirror
	ListJobs RetryJob CancelJob ShowDomainSettings UpdateDomainSettings
	ListDeletedTags ListRepoHistory ListTagHistory RestoreRepoTag RollbackRepoTag RollbackRepo`)

// The SDK's methods for what Berth serves are all called by its tests, with
// success and with refusals. The rest of them are of another edition.
func TestSDKIsUsedWhole(t *testing.T) {
	files, err := filepath.Glob("sdk_*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	described := worlds[0].described.Operations("/v2/manage/", "/v3/manage/")
	var methods []string
	for m := range reflect.TypeFor[*swr.SwrClient]().Methods() {
		methods = append(methods, m.Name)
	}
	called := 0
	for _, id := range described {
		switch {
		case slices.Contains(ours, id):
		case !slices.Contains(methods, id):
			t.Errorf("%s is neither of the SDK nor of Berth's own", id)
		case !strings.Contains(source.String(), "."+id+", "):
			t.Errorf("no test calls %s by the SDK", id)
		default:
			called++
		}
	}
	// Both version documents stand outside of the prefixes.
	if called != 57 {
		t.Errorf("%d operations are called by the SDK", called)
	}
}
