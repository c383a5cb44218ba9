//! Exported images as an OCI layout.
//!
//! The OCI's own kind of image has no health check, so tools that convert to it lose that; the other kind holds the
//! random name of the container that it was made in. So the conversion is done here: what is in an image because of the
//! Dockerfile stays, the health check where engines look for it, and nothing else does.

use std::fs;
use std::io::{copy, sink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The exported index.
const INDEX: &str = "manifest.json";

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Of an image's description, what is kept.
const OF_IMAGE: [&str; 5] = ["created", "architecture", "os", "variant", "rootfs"];

/// Of its configuration. A health check is not the OCI's, but engines find it there.
const OF_CONFIG: [&str; 8] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "Healthcheck"];

/// Of each of its steps; there is also what it started from, by a number that changes.
const OF_STEP: [&str; 3] = ["created", "created_by", "empty_layer"];

/// How large an image is, in bytes.
pub(crate) struct Sizes {
    /// As Docker names it, such as `linux/amd64`.
    pub(crate) platform: String,
    /// Of its layers, unpacked.
    pub(crate) bytes: u64,
    /// Of its layers, as they travel.
    pub(crate) compressed: u64,
}

/// Writes images of several platforms, that were `exported` to a directory, as a layout in which their index is called
/// `tag`. Returns how large each is.
pub(crate) fn write(exported: &Path, layout: &Path, tag: &str) -> Result<Vec<Sizes>> {
    let writer = Writer { exported, layout };
    fs::create_dir_all(writer.blobs()).with_context(|| format!("creating {}", layout.display()))?;
    let index = parse(&read(&exported.join(INDEX))?)?;
    let manifests = index["manifests"].as_array().context("reading an image's index: no manifests")?;
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
    /// Writes the image of one platform, and returns its descriptor.
    fn image(&self, exported: &Value) -> Result<(Value, Sizes)> {
        let manifest = format!("{}.manifest.json", hex(&exported["digest"])?);
        let manifest = parse(&read(&self.exported.join(manifest))?)?;
        let config = parse(&read(&self.exported.join(hex(&manifest["config"]["digest"])?))?)?;
        let config = self.blob(CONFIG_TYPE, &bytes(&without_accidents(&config)))?;

        let layers = manifest["layers"].as_array().context("reading an image's manifest: no layers")?;
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

    /// Writes a blob, and returns its descriptor.
    fn blob(&self, kind: &str, bytes: &[u8]) -> Result<Value> {
        let digest = <[u8; 32]>::from(Sha256::digest(bytes)).map(|byte| format!("{byte:02x}")).concat();
        save(&self.blobs().join(&digest), bytes)?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    }

    fn blobs(&self) -> PathBuf {
        self.layout.join("blobs/sha256")
    }
}

/// An image's description without what depends on where and when it was made.
fn without_accidents(image: &Value) -> Value {
    let mut kept = picked(image, &OF_IMAGE);
    kept.insert("config".to_owned(), picked(&image["config"], &OF_CONFIG).into());
    let steps = image["history"].as_array().into_iter().flatten();
    kept.insert("history".to_owned(), steps.map(|step| Value::from(picked(step, &OF_STEP))).collect());
    kept.into()
}

/// Those of the keys that have a value.
fn picked(from: &Value, keys: &[&str]) -> Map<String, Value> {
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
    hex.with_context(|| format!("reading the digest {digest}: not sha256:…"))
}

fn parse(json: &[u8]) -> Result<Value> {
    serde_json::from_slice(json).context("reading an image's description")
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
    fn what_is_random_goes_and_the_health_check_stays() {
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
        assert_eq!(without_accidents(&image), kept);
    }
}
