//! A service that is built here, as its image makes it.
//!
//! In: a service. Out: the same with what its Dockerfile puts into it: files, variables, what it runs. Invariant: what the service says
//! itself wins.

use std::collections::BTreeMap;
use std::path::Path;

use super::dockerfile::{self, Content};
use crate::dialect::compose::model::{Build, Mount, Service, Source, Text, Variable};
use crate::secret::Secret;
use crate::source::SourceFile;

/// The service with what its image is built of, and why its configs aren't known. Errors: why its Dockerfile isn't.
pub fn built(service: &Service, build: &Build) -> Result<(Service, Option<String>), String> {
    let away = || "it is built of files that are not here".to_owned();
    let context = build.context.as_deref().ok_or_else(away)?;
    let inline = build.inline.as_ref().map(|text| text.text.clone());
    let text = match inline {
        Some(text) => text,
        None => {
            let path = context.join(Path::new(&build.dockerfile.text));
            let file = SourceFile::read_config("", &path);
            file.map_err(|reason| format!("`{}`: {reason}", path.display()))?.text.to_string()
        }
    };
    let arguments = build.arguments.iter().filter(|argument| argument.value.unknown.is_none());
    let arguments: BTreeMap<String, String> =
        arguments.map(|argument| (argument.name.clone(), argument.value.text.clone())).collect();
    let target = build.target.as_ref().map(|target| target.text.as_str());
    let image = dockerfile::read(&text, context, &arguments, target)?;

    let here = |text: String| Text { text, place: build.place, unknown: None };
    let texts = |words: Vec<String>| words.into_iter().map(here).collect::<Vec<_>>();
    let mut out = service.clone();
    out.image = Some(here(image.base));
    // Another entry point takes the image's command away.
    let command = image.command.filter(|_| out.entrypoint.is_none()).map(texts);
    out.command = out.command.or(command);
    out.entrypoint = out.entrypoint.or(image.entrypoint.map(texts));
    out.working_dir = out.working_dir.or(image.working_dir.map(here));
    let own = |name: &String| service.environment.iter().any(|variable| variable.name == *name);
    let more = image.environment.into_iter().filter(|(name, _)| !own(name));
    out.environment.extend(more.map(|(name, value)| Variable {
        name,
        value: Some(Secret::new(value)),
        place: build.place,
        unknown: None,
    }));
    let file = |(path, content): (String, Content)| Mount {
        source: match content {
            Content::Host(path) => Source::Host(path),
            Content::Text(text) => Source::Content(here(text)),
        },
        target: here(path),
        read_only: false,
        place: build.place,
    };
    let files: Vec<Mount> = image.files.into_iter().map(file).collect();
    out.mounts.splice(0..0, files);
    Ok((out, image.unknown))
}
