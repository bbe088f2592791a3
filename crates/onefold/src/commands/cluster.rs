//! The processes of the cluster engine.

use onefold_lake_delta::cluster::{self, Executor};

use crate::{Failure, cli, settings::Settings, wiring};

/// Runs a scheduler or an executor, until the process ends.
pub fn run(settings: &Settings, command: cli::Cluster) -> Result<(), Failure> {
    let lake = wiring::lake_settings(settings)?;
    let ended = match command {
        cli::Cluster::Scheduler { listen, host, executors_min } => {
            let host = host.unwrap_or_else(|| listen.ip().to_string());
            cluster::schedule(&lake, listen, &host, executors_min)
        }
        cli::Cluster::Executor { scheduler, listen, host, ports, threads, memory_mib, folder } => {
            let at = scheduler.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
            let at = at.ok_or_else(|| {
                Failure::new(format!("{scheduler:?} is no place of a scheduler"), "write it as 10.0.0.5:50050")
            })?;
            let ports =
                ports.try_into().map_err(|_| Failure::new("an executor has two ports", "write --ports 50051,50052"))?;
            let folder = match folder {
                Some(folder) => folder,
                None => {
                    wiring::make_folder(&settings.data)?;
                    settings.data.join("executor")
                }
            };
            wiring::make_folder(&folder)?;
            cluster::execute(
                &lake,
                Executor {
                    scheduler: at,
                    host: host.unwrap_or_else(|| listen.to_string()),
                    listen,
                    ports,
                    threads: threads.unwrap_or(lake.threads),
                    memory_bytes: memory_mib << 20,
                    folder,
                },
            )
        }
    };
    let cure = "check that the ports are free, and that the scheduler and the object store of [lake] can be reached";
    ended.map_err(|cause| Failure::new(cause, cure))
}
