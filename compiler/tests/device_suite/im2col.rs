//! Patches, their adjoint and the layout of vectors.

use tfc::device::{Device, Images, Window};

use super::{
    assert_close, data, dot, download,
    tolerance::SHORT_SUM,
    wide,
    windows::{at, convolutions, index, outputs, taps},
};

/// All images, one of several, and a chunk that ends before the last.
const CHUNKS: [Images; 4] = [
    Images { batch: 1, first: 0, count: 1 },
    Images { batch: 3, first: 0, count: 3 },
    Images { batch: 4, first: 3, count: 1 },
    Images { batch: 5, first: 1, count: 2 },
];

/// The patches by definition.
fn expected(w: &Window, images: Images, x: &[f32]) -> Vec<f32> {
    let mut cols = Vec::new();
    for c in 0..w.c {
        for tap in taps(w) {
            for image in images.first..images.first + images.count {
                let plane = &x[(c * images.batch + image) * w.h * w.w..][..w.h * w.w];
                cols.extend(outputs(w).map(|o| index(w, at(w, o, tap)).map_or(0.0, |i| plane[i])));
            }
        }
    }
    cols
}

pub(crate) fn patches<D: Device>(d: &D) {
    for w in convolutions() {
        for images in CHUNKS {
            check_patches(d, &w, images);
        }
    }
}

pub(crate) fn check_patches<D: Device>(d: &D, w: &Window, images: Images) {
    let x = data(w.c * images.batch * w.h * w.w, 1);
    let want = expected(w, images, &x);
    // Stale values, and more room than needed: column buffers are reused.
    let mut cols = d.upload(&vec![f32::NAN; want.len() + 3]);
    d.im2col(w, images, &d.upload(&x), &mut cols);
    let got = download(d, &cols);
    assert!(got[..want.len()] == want, "im2col of {w:?}, {images:?}");
    assert!(got[want.len()..].iter().all(|x| x.is_nan()), "im2col wrote past its result");
}

/// `<im2col(x), y> = <x, col2im(y)>`, and `col2im` adds and leaves other images alone.
pub(crate) fn adjoint<D: Device>(d: &D) {
    for w in convolutions() {
        for images in CHUNKS {
            let plane = w.h * w.w;
            let x = data(w.c * images.batch * plane, 1);
            let cols = expected(&w, images, &x);
            let y = data(cols.len(), 2);
            let before = data(x.len(), 3);
            let mut dx = d.upload(&before);
            d.col2im(&w, images, &d.upload(&y), &mut dx);
            let got = download(d, &dx);
            let added: Vec<f64> =
                wide(&got).iter().zip(wide(&before)).map(|(after, before)| after - before).collect();
            let (left, right) = (dot(&wide(&cols), &wide(&y)), dot(&wide(&x), &added));
            let scale = (cols.len() as f64).sqrt();
            assert_close("adjoint", &[(right / scale) as f32], &[left / scale], SHORT_SUM);
            for (i, added) in added.iter().enumerate() {
                let image = i / plane % images.batch;
                let worked_on = (images.first..images.first + images.count).contains(&image);
                assert!(worked_on || *added == 0.0, "col2im changed image {image} of {images:?}");
            }
            let mut want = wide(&before);
            let mut cols = y.iter();
            for c in 0..w.c {
                for tap in taps(&w) {
                    for image in images.first..images.first + images.count {
                        for o in outputs(&w) {
                            let y = f64::from(*cols.next().expect("as many as im2col gives"));
                            if let Some(i) = index(&w, at(&w, o, tap)) {
                                want[(c * images.batch + image) * plane + i] += y;
                            }
                        }
                    }
                }
            }
            assert_close("col2im", &got, &want, SHORT_SUM);
        }
    }
}

pub(crate) fn flatten<D: Device>(d: &D) {
    for [c, batch, hw] in [[1, 1, 1], [3, 5, 1], [50, 7, 16], [2, 64, 49], [5, 3, 33]] {
        let x = data(c * batch * hw, 1);
        let mut want = vec![0.0; x.len()];
        for (i, x) in x.iter().enumerate() {
            let (channel, image, p) = (i / (batch * hw), i / hw % batch, i % hw);
            want[(channel * hw + p) * batch + image] = *x;
        }
        let mut flat = d.zeros(x.len());
        d.flatten([c, batch, hw], false, &d.upload(&x), &mut flat);
        assert_eq!(download(d, &flat), want);
        let mut back = d.zeros(x.len());
        d.flatten([c, batch, hw], true, &flat, &mut back);
        assert_eq!(download(d, &back), x);
    }
}
