// Runs a client that gqlclientgen generated from schema.graphql: URL is the server's address, TOKEN that of a user.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"reflect"

	"git.sr.ht/~emersion/gqlclient"
)

var ctx = context.Background()

// bearer adds a token to each request.
type bearer string

func (token bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(ctx)
	request.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(request)
}

func connect(token string) *gqlclient.Client {
	return gqlclient.New(os.Getenv("URL"), &http.Client{Transport: bearer(token)})
}

func main() {
	log.SetFlags(log.Lshortfile)
	client := connect(os.Getenv("TOKEN"))
	lists(client)
	createsAndUpdates(client)
	errorsHaveCodes(client)
	fieldsOmittedNullAndDefault(client)
	nullAndTheDefault(client)
	scalars(client)
	unknownEnumValues(client)
}

// equal ends the program unless two values are the same.
func equal(is, expected interface{}) {
	if !reflect.DeepEqual(is, expected) {
		log.Output(2, "")
		log.Fatalf("%#v is not %#v", is, expected)
	}
}

func must(err error) {
	if err != nil {
		log.Output(2, "")
		log.Fatal(err)
	}
}
