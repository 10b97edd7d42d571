package main

import (
	"encoding/json"
	"errors"
	"time"

	"git.sr.ht/~emersion/gqlclient"

	"catalogue"
)

// All pages of a list with a filter.
func lists(client *gqlclient.Client) {
	now := catalogue.DateTime(time.Now().Format(time.RFC3339))
	filter := &catalogue.PersonalConnectorFilter{
		Type:      []catalogue.ConnectorType{catalogue.ConnectorTypeOfficial, catalogue.ConnectorTypeAitronosBuilt},
		Not:       &catalogue.PersonalConnectorFilter{Status: []catalogue.ConnectorStatus{catalogue.ConnectorStatusDeprecated}},
		CreatedAt: &catalogue.DateTimeRange{Lt: &now},
	}
	first := int32(2)
	ids := map[string]bool{}
	var after *string
	for pages := 1; ; pages++ {
		page, err := catalogue.Connectors(client, ctx, filter, &first, after)
		must(err)
		for _, connector := range page.Nodes {
			equal(connector.Object, "personal_connector")
			ids[connector.Id] = true
		}
		after = page.PageInfo.EndCursor
		if !page.PageInfo.HasNextPage {
			equal(pages >= 3, true)
			equal(len(ids), int(page.TotalCount))
			return
		}
	}
}

// A connector is created and changed, and the feed of changes has both.
func createsAndUpdates(client *gqlclient.Client) {
	page, err := catalogue.Connectors(client, ctx, nil, new(int32), nil)
	must(err)
	cursor := page.ChangesCursor

	url := "https://wiki.example.com/mcp"
	input := catalogue.CreateCustomConnectorInput{
		Name:      "Our wiki",
		ServerUrl: &url,
		Metadata:  map[string]interface{}{"owner": "engineering"},
	}
	created, err := catalogue.Create(client, ctx, input)
	must(err)
	equal(created.UserErrors, []catalogue.UserError{})
	wiki, err := catalogue.Connector(client, ctx, created.PersonalConnector.Id)
	must(err)
	equal(wiki.Name, "Our wiki")

	version := "1.0.0"
	updated, err := catalogue.Update(client, ctx, catalogue.UpdateCustomConnectorInput{Id: wiki.Id, Version: &version})
	must(err)
	equal(*updated.PersonalConnector.Version, version)

	feed, err := catalogue.Changes(client, ctx, &cursor, &catalogue.PersonalConnectorChangeFilter{PersonalConnectorId: []string{wiki.Id}})
	must(err)
	equal(len(feed.Nodes), 2)
	equal(feed.Nodes[0].Kind, catalogue.PersonalConnectorChangeKindCreated)
	equal(feed.Nodes[1].ChangedFields, []catalogue.PersonalConnectorField{catalogue.PersonalConnectorFieldVersion})
}

// An error in an input is in the payload: a name that is left out is sent as "". Any other is one of the request, with a code.
func errorsHaveCodes(client *gqlclient.Client) {
	url := "https://wiki.example.com/mcp"
	nameless, err := catalogue.Create(client, ctx, catalogue.CreateCustomConnectorInput{ServerUrl: &url})
	must(err)
	equal(len(nameless.UserErrors), 1)
	equal(nameless.UserErrors[0].Code, catalogue.UserErrorCodeBlank)
	equal(nameless.UserErrors[0].Field, []string{"input", "name"})

	cursor := "no cursor"
	_, err = catalogue.Connectors(client, ctx, nil, nil, &cursor)
	equal(code(err), "CURSOR_INVALID")
	_, err = catalogue.Connectors(connect("none"), ctx, nil, nil, nil)
	equal(code(err), "UNAUTHENTICATED")
}

// code is that of an error, also where the status is 401 or 429.
func code(err error) string {
	var refused *gqlclient.Error
	if !errors.As(err, &refused) {
		return ""
	}
	var extensions struct{ Code string }
	must(json.Unmarshal(refused.Extensions, &extensions))
	return extensions.Code
}
