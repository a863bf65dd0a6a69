// The ordinary requests with the JDK's own client, as it is: its first request offers HTTP/2 ("h2c").
// Arguments: main port's URL, health port's URL. A line for each answer: name, status, body.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;

class Requests {
    static final HttpClient client = HttpClient.newHttpClient();

    static void say(String name, Object status, String body) {
        System.out.println(name + "\t" + status + "\t" + body.replaceAll("\\s+", " "));
    }

    static void send(String name, HttpRequest.Builder request) throws Exception {
        var answer = client.send(request.build(), BodyHandlers.ofString());
        say(name, answer.statusCode(), answer.body());
    }

    static HttpRequest.Builder to(String url) {
        return HttpRequest.newBuilder(URI.create(url));
    }

    static byte[] mutation(String key, int pad) {
        return ("{\"export\":\"E\",\"key\":\"" + key + "\",\"patch\":{\"pad\":\"" + "x".repeat(pad) + "\"}}\n")
            .getBytes(StandardCharsets.UTF_8);
    }

    static byte[] gzip(byte[] bytes) throws Exception {
        var out = new ByteArrayOutputStream();
        try (var zip = new GZIPOutputStream(out)) {
            zip.write(bytes);
        }
        return out.toByteArray();
    }

    static void subscribe(String url) throws Exception {
        var frame = new CompletableFuture<String>();
        var parts = new ByteArrayOutputStream();
        var listener = new WebSocket.Listener() {
            public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
                var bytes = new byte[data.remaining()];
                data.get(bytes);
                parts.writeBytes(bytes);
                if (last) {
                    var text = parts.toString(StandardCharsets.UTF_8);
                    parts.reset();
                    if (text.contains("\"snapshot\"")) frame.complete(text);
                }
                socket.request(1);
                return null;
            }
        };
        var socket = client.newWebSocketBuilder().buildAsync(URI.create(url.replace("http", "ws")), listener).get(60, TimeUnit.SECONDS);
        socket.sendText("{\"type\":\"subscribe\",\"view\":\"E/state\",\"key\":\"length\"}", true).get(60, TimeUnit.SECONDS);
        say("websocket", 101, frame.get(60, TimeUnit.SECONDS));
        socket.sendClose(1000, "").get(60, TimeUnit.SECONDS);
    }

    public static void main(String[] arguments) throws Exception {
        String main = arguments[0], health = arguments[1];
        for (var path : new String[] {"health", "ready", "ready/write", "metrics"}) send(path, to(health + "/" + path));
        send("views", to(main + "/v1/views"));
        send("length", to(main + "/v1/mutations").POST(BodyPublishers.ofByteArray(mutation("length", 10))));
        send("chunked", to(main + "/v1/mutations").POST(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(mutation("chunked", 100_000)))));
        send("expect", to(main + "/v1/mutations").expectContinue(true).POST(BodyPublishers.ofByteArray(mutation("expect", 2000))));
        send("gzip", to(main + "/v1/mutations").header("Content-Encoding", "gzip").POST(BodyPublishers.ofByteArray(gzip(mutation("gzip", 50_000)))));
        send("rows", to(main + "/v1/views/E/list"));
        send("head", to(main + "/v1/views").method("HEAD", BodyPublishers.noBody()));
        send("options", to(main + "/v1/views").method("OPTIONS", BodyPublishers.noBody()));
        send("missing", to(main + "/nothing/here"));
        send("bad", to(main + "/v1/mutations").POST(BodyPublishers.ofString("no JSON")));
        send("empty", to(main + "/v1/mutations").POST(BodyPublishers.noBody()));
        send("too-large", to(main + "/v1/mutations").POST(BodyPublishers.ofByteArray(mutation("large", 3_000_000))));
        for (int i = 0; i < 50; i++) send("again", to(main + "/v1/views"));
        subscribe(main);
        System.exit(0);
    }
}
