//! Writes exported images as an OCI layout.
//!
//! OCI images have no health check, so tools that convert to OCI drop it. Docker's format keeps it, but contains the
//! random name of the build container. This conversion keeps the health check, at the place where engines look for it,
//! and otherwise only what the Dockerfile determines.

use std::fs;
use std::io::{copy, sink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// File name of the exported index.
const INDEX: &str = "manifest.json";

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Fields of an image's description that are kept.
const IMAGE_FIELDS: [&str; 5] = ["created", "architecture", "os", "variant", "rootfs"];

/// Fields of its configuration that are kept. `Healthcheck` is not part of the OCI format, but engines read it.
const CONFIG_FIELDS: [&str; 8] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "Healthcheck"];

/// Fields of each build step that are kept. Others contain changing identifiers.
const STEP_FIELDS: [&str; 3] = ["created", "created_by", "empty_layer"];

/// Sizes of the image of one platform.
pub(crate) struct Sizes {
    /// The platform in Docker's notation, such as `linux/amd64`.
    pub(crate) platform: String,
    /// Bytes of the unpacked layers.
    pub(crate) bytes: u64,
    /// Bytes of the compressed layers.
    pub(crate) compressed: u64,
}

/// Writes the images in the directory `exported` as a layout whose index has the name `tag`. Returns the sizes of each
/// image.
pub(crate) fn write(exported: &Path, layout: &Path, tag: &str) -> Result<Vec<Sizes>> {
    let writer = Writer { exported, layout };
    fs::create_dir_all(writer.blobs()).with_context(|| format!("creating {}", layout.display()))?;
    let index = parse(&read(&exported.join(INDEX))?)?;
    let manifests = index["manifests"].as_array().context("the image's index has no manifests")?;
    let (mut descriptors, mut sizes) = (Vec::new(), Vec::new());
    for manifest in manifests {
        let (descriptor, size) = writer.image(manifest)?;
        descriptors.push(descriptor);
        sizes.push(size);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": descriptors});
    let mut index = writer.blob(INDEX_TYPE, &bytes(&index))?;
    index["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let top = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [index]});
    save(&layout.join("index.json"), &bytes(&top))?;
    save(&layout.join("oci-layout"), &bytes(&json!({"imageLayoutVersion": "1.0.0"})))?;
    Ok(sizes)
}

struct Writer<'a> {
    exported: &'a Path,
    layout: &'a Path,
}

impl Writer<'_> {
    /// Writes the image of one platform. Returns its descriptor.
    fn image(&self, exported: &Value) -> Result<(Value, Sizes)> {
        let manifest = format!("{}.manifest.json", hex(&exported["digest"])?);
        let manifest = parse(&read(&self.exported.join(manifest))?)?;
        let config = parse(&read(&self.exported.join(hex(&manifest["config"]["digest"])?))?)?;
        let config = self.blob(CONFIG_TYPE, &bytes(&reproducible(&config)))?;

        let layers = manifest["layers"].as_array().context("the image's manifest has no layers")?;
        let (mut unpacked, mut compressed, mut descriptors) = (0, 0, Vec::new());
        for layer in layers {
            let blob = read(&self.exported.join(hex(&layer["digest"])?))?;
            compressed += blob.len() as u64;
            unpacked += copy(&mut GzDecoder::new(&blob[..]), &mut sink()).context("unpacking a layer")?;
            descriptors.push(self.blob(LAYER_TYPE, &blob)?);
        }
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": descriptors});
        let mut descriptor = self.blob(MANIFEST_TYPE, &bytes(&manifest))?;
        descriptor["platform"] = exported["platform"].clone();

        let words = ["os", "architecture", "variant"].map(|word| exported["platform"][word].as_str());
        let platform = words.into_iter().flatten().collect::<Vec<_>>().join("/");
        Ok((descriptor, Sizes { platform, bytes: unpacked, compressed }))
    }

    /// Writes a blob. Returns its descriptor.
    fn blob(&self, kind: &str, bytes: &[u8]) -> Result<Value> {
        let digest = <[u8; 32]>::from(Sha256::digest(bytes)).map(|byte| format!("{byte:02x}")).concat();
        save(&self.blobs().join(&digest), bytes)?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    }

    fn blobs(&self) -> PathBuf {
        self.layout.join("blobs/sha256")
    }
}

/// Removes everything from an image's description that depends on place and time of the build.
fn reproducible(image: &Value) -> Value {
    let mut kept = pick(image, &IMAGE_FIELDS);
    kept.insert("config".to_owned(), pick(&image["config"], &CONFIG_FIELDS).into());
    let steps = image["history"].as_array().into_iter().flatten();
    kept.insert("history".to_owned(), steps.map(|step| Value::from(pick(step, &STEP_FIELDS))).collect());
    kept.into()
}

/// The fields `keys` of an object, without empty ones.
fn pick(from: &Value, keys: &[&str]) -> Map<String, Value> {
    let is_empty = |value: &Value| match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        other => other.is_null(),
    };
    let present = keys.iter().filter(|key| !is_empty(&from[**key]));
    present.map(|key| ((*key).to_owned(), from[*key].clone())).collect()
}

fn hex(digest: &Value) -> Result<&str> {
    let hex = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    hex.with_context(|| format!("expected a digest sha256:…, got {digest}"))
}

fn parse(json: &[u8]) -> Result<Value> {
    serde_json::from_slice(json).context("parsing an image's description")
}

fn bytes(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_fields_are_removed_and_the_health_check_is_kept() {
        let image = json!({
            "container": "d9aa8c975900", "container_config": {"Hostname": "1bb8b9c97148"},
            "architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
            "history": [{"created_by": "COPY /hub", "comment": "FROM 5f70bf18a086"}],
            "config": {
                "Hostname": "1bb8b9c97148", "User": "65532:65532", "Cmd": [], "WorkingDir": "",
                "Healthcheck": {"Test": ["CMD", "/hub", "healthcheck"]},
            },
        });
        let kept = json!({
            "architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
            "history": [{"created_by": "COPY /hub"}],
            "config": {"User": "65532:65532", "Healthcheck": {"Test": ["CMD", "/hub", "healthcheck"]}},
        });
        assert_eq!(reproducible(&image), kept);
    }
}
