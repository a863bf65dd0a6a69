// The ordinary requests with Go's net/http, as it is. Arguments: main port's URL, health port's URL.
// A line for each answer: name, status, body.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = &http.Client{Timeout: time.Minute}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func send(name, method, url string, body io.Reader, headers ...string) {
	request, err := http.NewRequest(method, url, body)
	must(err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(request)
	must(err)
	text, err := io.ReadAll(answer.Body)
	must(err)
	answer.Body.Close()
	fmt.Printf("%s\t%d\t%s\n", name, answer.StatusCode, strings.Join(strings.Fields(string(text)), " "))
}

func mutation(key string, pad int) []byte {
	return []byte(`{"export":"E","key":"` + key + `","patch":{"pad":"` + strings.Repeat("x", pad) + "\"}}\n")
}

func zipped(text []byte) []byte {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, err := zip.Write(text)
	must(err)
	must(zip.Close())
	return out.Bytes()
}

func main() {
	base, health := os.Args[1], os.Args[2]
	post := base + "/v1/mutations"
	client.Transport = &http.Transport{ExpectContinueTimeout: time.Minute}
	for _, path := range []string{"health", "ready", "ready/write", "metrics"} {
		send(path, "GET", health+"/"+path, nil)
	}
	send("views", "GET", base+"/v1/views", nil)
	send("length", "POST", post, bytes.NewReader(mutation("length", 10)))
	/* A reader whose length is not known is sent in chunks. */
	send("chunked", "POST", post, io.MultiReader(bytes.NewReader(mutation("chunked", 100000))))
	send("expect", "POST", post, bytes.NewReader(mutation("expect", 2000)), "Expect", "100-continue")
	send("gzip", "POST", post, bytes.NewReader(zipped(mutation("gzip", 50000))), "Content-Encoding", "gzip")
	send("rows", "GET", base+"/v1/views/E/list", nil)
	send("head", "HEAD", base+"/v1/views", nil)
	send("options", "OPTIONS", base+"/v1/views", nil)
	send("missing", "GET", base+"/nothing/here", nil)
	send("bad", "POST", post, strings.NewReader("no JSON"))
	send("empty", "POST", post, http.NoBody)
	send("too-large", "POST", post, bytes.NewReader(mutation("large", 3000000)))
	for i := 0; i < 50; i++ {
		send("again", "GET", base+"/v1/views", nil)
	}
}
