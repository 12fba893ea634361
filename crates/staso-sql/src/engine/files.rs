//! The files that the parent handed over, as the engine wants to see them: a read-only object store of
//! names that mean nothing outside this process.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// One file of a table.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) file: File,
    pub(super) bytes: u64,
    rows: u64,
    deleted: Vec<(u64, u64)>,
}

impl Handed {
    pub(super) fn new(file: File, rows: u64, deleted: Vec<(u64, u64)>) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, rows, deleted })
    }

    /// The rows that count; `None` where all do.
    pub(super) fn selection(&self) -> Option<RowSelection> {
        if self.deleted.is_empty() {
            return None;
        }
        let length = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (mut selectors, mut next) = (Vec::new(), 0);
        for (first, run) in &self.deleted {
            selectors.push(RowSelector::select(length(first.saturating_sub(next))));
            selectors.push(RowSelector::skip(length(*run)));
            next = first.saturating_add(*run);
        }
        selectors.push(RowSelector::select(length(self.rows.saturating_sub(next))));
        selectors.retain(|selector| selector.row_count > 0);
        Some(selectors.into())
    }
}

/// The files of one table, by their place in the list.
#[derive(Debug)]
pub(super) struct Files(pub(super) Vec<Handed>);

impl Files {
    fn find(&self, location: &Path) -> Result<&Handed> {
        let number = location.as_ref().parse().ok();
        number.and_then(|number: usize| self.0.get(number)).ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "no file of this table".into(),
        })
    }

    fn read(&self, location: &Path, range: &Range<u64>) -> Result<Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let read = self.find(location)?.file.read_exact_at(&mut bytes, range.start);
        read.map_err(|error| Error::Generic { store: "files", source: error.into() })?;
        Ok(bytes.into())
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the files of a table")
    }
}

fn read_only<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "a table that is only read".to_owned(),
    })
}

#[async_trait]
impl ObjectStore for Files {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let size = self.find(location)?.bytes;
        let range = match &options.range {
            _ if options.head => 0..0,
            None => 0..size,
            Some(range) => range
                .as_range(size)
                .map_err(|error| Error::Generic { store: "files", source: error.into() })?,
        };
        let bytes = self.read(location, &range);
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter([bytes]).boxed()),
            meta: ObjectMeta {
                location: location.clone(),
                last_modified: Default::default(),
                size,
                e_tag: None,
                version: None,
            },
            range,
            attributes: Default::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|range| self.read(location, range)).collect()
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only("put")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        read_only("put_multipart")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::iter([read_only("delete")]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter([read_only("list")]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        read_only("list")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        read_only("copy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_count_are_skipped() {
        let of = |rows, deleted| Handed::new(tempfile::tempfile().unwrap(), rows, deleted).unwrap();
        assert_eq!(of(9, vec![]).selection(), None);
        let skip = |n| RowSelector::skip(n);
        let select = |n| RowSelector::select(n);
        let expect = |selectors: Vec<RowSelector>| Some(RowSelection::from(selectors));
        let found = of(9, vec![(0, 2), (5, 1)]).selection();
        assert_eq!(found, expect(vec![skip(2), select(3), skip(1), select(3)]));
        assert_eq!(of(3, vec![(0, 3)]).selection(), expect(vec![skip(3)]));
    }
}
