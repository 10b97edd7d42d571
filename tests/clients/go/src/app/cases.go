package main

import (
	"encoding/json"
	"time"

	"git.sr.ht/~emersion/gqlclient"

	"catalogue"
	"older"
)

// A nil field of an input is not sent: a new connector gets the default, and an update leaves the field as it is.
func fieldsOmittedNullAndDefault(client *gqlclient.Client) {
	url, description := "https://plans.example.com/mcp", "Plans of the team"
	input := catalogue.CreateCustomConnectorInput{
		Name:        "Our plans",
		Description: &description,
		ServerUrl:   &url,
		Metadata:    map[string]interface{}{"owner": "engineering"},
	}
	created, err := catalogue.Create(client, ctx, input)
	must(err)
	plans := created.PersonalConnector
	equal(*plans.ServerType, catalogue.ServerTypeHttp)
	equal(*plans.Category, catalogue.ConnectorCategoryCustom)
	equal(plans.Visibility, catalogue.ConnectorVisibilityPrivate)
	equal(plans.Version == nil, true)

	version := "1.0.0"
	updated, err := catalogue.Update(client, ctx, catalogue.UpdateCustomConnectorInput{Id: plans.Id, Version: &version})
	must(err)
	equal(*updated.PersonalConnector.Description, description)

	// A nil variable is null, and JSON may be null in an input.
	updated, err = catalogue.Clear(client, ctx, plans.Id, nil)
	must(err)
	equal(updated.PersonalConnector.Description == nil, true)
	equal(*updated.PersonalConnector.Version, version)
	updated, err = catalogue.Update(client, ctx, catalogue.UpdateCustomConnectorInput{Id: plans.Id, Metadata: json.RawMessage("null")})
	must(err)
	equal(updated.PersonalConnector.Metadata, nil)

	// An empty list is not sent either, and so restricts nothing.
	all, err := catalogue.Connectors(client, ctx, nil, nil, nil)
	must(err)
	filtered, err := catalogue.Connectors(client, ctx, &catalogue.PersonalConnectorFilter{Id: []string{}}, nil, nil)
	must(err)
	equal(filtered.TotalCount, all.TotalCount)
}

// Null and the default mean the same as no value. A category may be null, and so null means none.
func nullAndTheDefault(client *gqlclient.Client) {
	url := "https://tracker.example.com/mcp"
	created, err := catalogue.CreateOfVariables(client, ctx, "Our tracker", &url, nil, nil, nil, nil, nil)
	must(err)
	equal(created.PersonalConnector.Category == nil, true)
	asByDefault(client, created.PersonalConnector, nil, nil)

	category, server, visibility := catalogue.ConnectorCategoryCustom, catalogue.ServerTypeHttp, catalogue.ConnectorVisibilityPrivate
	no, hours := false, int32(24)
	created, err = catalogue.CreateOfVariables(client, ctx, "Our planner", &url, &category, &server, &visibility, &no, &no)
	must(err)
	equal(*created.PersonalConnector.Category, category)
	asByDefault(client, created.PersonalConnector, &server, &hours)
}

func asByDefault(client *gqlclient.Client, tracker *catalogue.PersonalConnector, server *catalogue.ServerType, hours *int32) {
	equal(*tracker.ServerType, catalogue.ServerTypeHttp)
	equal(tracker.Visibility, catalogue.ConnectorVisibilityPrivate)

	// The tests let the service call no server.
	inspected, err := catalogue.Inspect(client, ctx, string(*tracker.ServerUrl), server)
	must(err)
	equal(inspected.Inspection.Outcome, catalogue.InspectionOutcomeBlocked)
	checked, err := catalogue.Check(client, ctx, tracker.Id, hours)
	must(err)
	equal(*checked.PersonalConnector.Health.Uptime, 0.0)
}

// JSON is any value, DateTime! is a time, and a URL is a text.
func scalars(client *gqlclient.Client) {
	began := time.Now().Add(-time.Minute)
	url, icon := "https://pages.example.com/mcp", "https://pages.example.com/icon.png"
	created, err := catalogue.Create(client, ctx, catalogue.CreateCustomConnectorInput{
		Name:      "Our pages",
		ServerUrl: &url,
		IconUrl:   &icon,
		Metadata:  map[string]interface{}{"owner": "engineering", "floors": []int{1, 2}},
	})
	must(err)
	pages := created.PersonalConnector
	floors := pages.Metadata.(map[string]interface{})["floors"]
	equal(floors, []interface{}{1.0, 2.0})
	equal(pages.CreatedAt.After(began), true)
	equal(*pages.IconUrl, catalogue.URL(icon))

	// A range sends only the ends that it has.
	since := catalogue.DateTime(began.Format(time.RFC3339))
	filter := &catalogue.PersonalConnectorFilter{CreatedAt: &catalogue.DateTimeRange{Gte: &since}, Type: []catalogue.ConnectorType{catalogue.ConnectorTypeCustom}}
	recent, err := catalogue.Connectors(client, ctx, filter, nil, nil)
	must(err)
	equal(recent.TotalCount >= 1, true)
}

// The older schema has no ConnectorType OFFICIAL. An enum is a string, so a new value arrives as it is.
func unknownEnumValues(client *gqlclient.Client) {
	page, err := older.Connectors(client, ctx, nil, nil, nil)
	must(err)
	labels := map[string]bool{}
	for _, connector := range page.Nodes {
		labels[label(connector.Type)] = true
	}
	equal(labels["Other"], true)
}

func label(kind older.ConnectorType) string {
	switch kind {
	case older.ConnectorTypeAitronosBuilt:
		return "Built in"
	case older.ConnectorTypeCustom:
		return "Yours"
	default:
		return "Other"
	}
}
