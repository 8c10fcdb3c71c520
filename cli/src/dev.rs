//! `dev`: everything on one machine, until Ctrl-C.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use wikitok_worker::{Connector, Queue, home};

use crate::arguments::DevArguments;
use crate::client::Temporal;
use crate::server::{Ports, Server};
use crate::stop::Stop;
use crate::{output, workers};

/// Ended runs can be looked at for this long.
const REMEMBERED: Duration = Duration::from_hours(90 * 24);

pub(crate) async fn run(arguments: &DevArguments) -> anyhow::Result<ExitCode> {
    let database = arguments.db.clone().unwrap_or_else(|| home::directory().join("dev").join("temporal.db"));
    if let Some(directory) = database.parent() {
        tokio::fs::create_dir_all(directory)
            .await
            .with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    let mut stop = Stop::listen()?;
    let ports = Ports { server: arguments.port, ui: arguments.ui_port };
    let starting = Server::start(&database, ports);
    let Some(mut server) = stop.unless_asked(starting).await.transpose()? else {
        return Ok(ExitCode::SUCCESS);
    };
    let outcome = on_server(&mut server, ports, arguments, &mut stop).await;
    server.stop().await?;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn on_server(
    server: &mut Server,
    ports: Ports,
    arguments: &DevArguments,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let connector = Connector::local(&server.address())?;
    let preparing = workers::prepare(&connector, &Queue::ALL, &arguments.model);
    let Some(ready) = stop.unless_asked(preparing).await.transpose()? else { return Ok(()) };
    let temporal = Temporal::connect(&connector, Some(server.ui())).await?;
    temporal.register_search_attributes().await;
    temporal.remember_for(REMEMBERED).await?;
    output::remark(&format!(
        "Temporal 127.0.0.1:{}\nWeb UI {}\nworkers for `workflow`, `cpu`, `gpu` and `mirror`; stop with Ctrl-C",
        ports.server,
        server.ui(),
    ));
    let until_stopped = async {
        tokio::select! {
            () = stop.asked() => Ok(()),
            error = server.ended() => Err(error),
        }
    };
    workers::serve(ready, until_stopped).await
}
