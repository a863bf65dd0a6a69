//! The published client for Rust (crate arete-a4-sdk), driven line by line: see tests/clients/sdk_rust.test.js.

use arete_a4_sdk::{Arete, GetOptions, Stack, StateView, Update, ViewBuilder, ViewHandle, Views};
use futures_util::StreamExt;
use serde_json::{json, Value};
use std::io::BufRead;
use std::time::Duration;

struct All {
    list: ViewHandle<Value>,
    sorted: ViewHandle<Value>,
    append: ViewHandle<Value>,
    none: ViewHandle<Value>,
    state: StateView<Value>,
}

impl Views for All {
    fn from_builder(builder: ViewBuilder) -> Self {
        Self {
            list: builder.view("Quake/list"),
            sorted: builder.view("Quake/strongest"),
            append: builder.view("Quake/append"),
            none: builder.view("Quake/none"),
            state: StateView::new(
                builder.connection().clone(),
                builder.store().clone(),
                "Quake/state".to_string(),
                builder.initial_data_timeout(),
            ),
        }
    }
}

struct Test;

impl Stack for Test {
    type Views = All;
    type Programs = ();
    fn name() -> &'static str {
        "test"
    }
    fn url() -> &'static str {
        "ws://127.0.0.1:1"
    }
}

fn say(value: Value) {
    println!("{value}");
}

fn options(command: &Value) -> GetOptions {
    let mut options = GetOptions::new();
    if let Some(take) = command["take"].as_u64() {
        options = options.take(take as usize);
    }
    if let Some(skip) = command["skip"].as_u64() {
        options = options.skip(skip as usize);
    }
    if let Some(filters) = command["filters"].as_object() {
        for (path, value) in filters {
            options = options.filter(path, value.clone());
        }
    }
    options
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let a4 = Arete::<Test>::builder()
        .url(&url)
        .reconnect_intervals(vec![Duration::from_millis(100); 200])
        .max_reconnect_attempts(200)
        .initial_data_timeout(Duration::from_secs(3))
        .connect()
        .await
        .expect("a connection");
    let mut issues = a4.subscribe_socket_issues();
    tokio::spawn(async move {
        while let Ok(issue) = issues.recv().await {
            say(json!({"issue": format!("{issue:?}")}));
        }
    });
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = send.send(serde_json::from_str::<Value>(&line).expect("JSON"));
        }
    });
    let mut watches = std::collections::HashMap::new();
    while let Some(command) = receive.recv().await {
        let id = &command["id"];
        let view = match command["view"].as_str() {
            Some("Quake/strongest") => &a4.views.sorted,
            Some("Quake/append") => &a4.views.append,
            Some("Quake/none") => &a4.views.none,
            _ => &a4.views.list,
        };
        match command["do"].as_str().unwrap_or("") {
            "get" => match view.get_with(options(&command)).await {
                Ok(rows) => say(json!({"id": id, "result": rows})),
                Err(error) => say(json!({"id": id, "error": {"code": format!("{error:?}")}})),
            },
            "state" => {
                let row = a4.views.state.get(command["key"].as_str().unwrap_or("")).await;
                say(json!({"id": id, "result": row}));
            }
            "watch" => {
                let name = command["name"].as_str().unwrap_or("").to_string();
                let mut builder = view.watch();
                if let Some(take) = command["take"].as_u64() {
                    builder = builder.take(take as usize);
                }
                if let Some(skip) = command["skip"].as_u64() {
                    builder = builder.skip(skip as usize);
                }
                let shown = name.clone();
                watches.insert(name, tokio::spawn(async move {
                    let mut stream = builder;
                    while let Some(update) = stream.next().await {
                        let mut told = match update {
                            Update::Upsert { key, data, cursor } => json!({"op": "upsert", "key": key, "data": data, "cursor": cursor}),
                            Update::Patch { key, data, cursor } => json!({"op": "patch", "key": key, "data": data, "cursor": cursor}),
                            Update::Remove { key, cursor } => json!({"op": "remove", "key": key, "cursor": cursor}),
                            Update::Delete { key, cursor } => json!({"op": "delete", "key": key, "cursor": cursor}),
                            Update::Gap(gap) => json!({"op": "gap", "why": format!("{gap:?}")}),
                        };
                        told["watch"] = json!(shown);
                        say(told);
                    }
                }));
                say(json!({"id": id, "result": null}));
            }
            "leave" => {
                if let Some(task) = watches.remove(command["name"].as_str().unwrap_or("")) {
                    task.abort();
                    let _ = task.await;
                }
                say(json!({"id": id, "result": null}));
            }
            "connection" => say(json!({"id": id, "result": format!("{:?}", a4.connection_state().await)})),
            other => panic!("{other} is no command"),
        }
    }
}
