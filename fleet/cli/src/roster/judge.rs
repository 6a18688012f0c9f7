//! What became of an import's photos: the report's findings, and the roster itself.

use examgate::{
    domain::{Exam, Roster, Template},
    vision::EmbedderSpec,
};
use examgate_enrol::{
    faces::{Enrolled, PhotoFault},
    similarities::Faces,
};

use super::{
    check::compare_all,
    photos::{Claim, Claims},
    report::{Pair, Photo, Place, Poor, Refused, Report, Turned, Without},
    rows::Row,
};

/// What became of each photo, and which faces are suspiciously alike or unlike.
pub(super) fn judge(
    rows: &[Row],
    claims: &Claims,
    enrolled: &[Result<Enrolled, PhotoFault>],
    embedder: &EmbedderSpec,
    threads: usize,
) -> Report {
    let place = |row: usize| Place {
        file: rows[row].sheet,
        line: rows[row].line,
        student_id: rows[row].entry.student.id.as_str().into(),
    };
    let photo = |claim: &Claim| Photo { place: place(claim.row), photo: claim.photo.display().to_string() };
    let (mut with_template, mut photos) = (vec![false; rows.len()], vec![0; rows.len()]);
    let mut report = Report {
        model: embedder.net.name.clone(),
        space: embedder.space.to_string(),
        students: rows.len(),
        photos: claims.claimed.len(),
        unclaimed: claims.unclaimed.iter().map(|photo| photo.display().to_string()).collect(),
        ..Report::default()
    };
    for (claim, result) in claims.claimed.iter().zip(enrolled) {
        photos[claim.row] += 1;
        match result {
            Ok(enrolled) => {
                with_template[claim.row] = true;
                report.templates += 1;
                report.poor.extend(enrolled.defect.map(|defect| Poor { photo: photo(claim), defect }));
                report.turned.extend(enrolled.turned.map(|turn| Turned::new(photo(claim), turn)));
                report.look_at_eyes.extend(enrolled.look_at_eyes.then(|| photo(claim)));
            }
            Err(fault) => report.refused.push(Refused::new(photo(claim), fault)),
        }
    }
    report.students_with_template = with_template.iter().filter(|&&has| has).count();
    report.opted_out = (0..rows.len()).filter(|&row| rows[row].opted_out()).map(place).collect();
    let without = |row| Without { place: place(row), photos: photos[row] };
    let lacks = |row: &usize| !with_template[*row] && !rows[*row].opted_out();
    report.without_template = (0..rows.len()).filter(lacks).map(without).collect();
    report.photos_not_opened = claims.opted_out.iter().map(|photo| photo.display().to_string()).collect();

    let embeddings = enrolled.iter().map(|result| result.as_ref().ok().map(|enrolled| &enrolled.template.embedding));
    let thresholds = &embedder.thresholds;
    let (admit, refer) = (thresholds.admit.get(), thresholds.refer.get());
    let same_row = |a: usize, b: usize| claims.claimed[a].row == claims.claimed[b].row;
    let odd = |a: usize, b: usize, cosine: f32| if same_row(a, b) { cosine < refer } else { cosine >= admit };
    for (a, b, similarity) in compare_all(&Faces::new(embedder.dimension, embeddings), threads, odd) {
        let pair = Pair { first: photo(&claims.claimed[a]), second: photo(&claims.claimed[b]), similarity };
        if same_row(a, b) { report.unlike.push(pair) } else { report.look_alikes.push(pair) }
    }
    report.look_alikes.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    report.unlike.sort_by(|a, b| a.similarity.total_cmp(&b.similarity));
    report
}

/// The roster to write. `others` are the templates of other nets, claim by claim.
pub(super) fn roster(
    exam: Exam,
    rows: Vec<Row>,
    claims: &Claims,
    enrolled: Vec<Result<Enrolled, PhotoFault>>,
    others: Vec<Vec<Option<Template>>>,
) -> Roster {
    let mut templates: Vec<Vec<Template>> = rows.iter().map(|_| Vec::new()).collect();
    for (claim, result) in claims.claimed.iter().zip(enrolled) {
        templates[claim.row].extend(result.ok().map(|enrolled| enrolled.template));
    }
    for templates_of_net in others {
        for (claim, template) in claims.claimed.iter().zip(templates_of_net) {
            templates[claim.row].extend(template);
        }
    }
    let entries = rows.into_iter().zip(templates).map(|(row, templates)| {
        let Row { entry, sheet: _, line: _, photos: _ } = row;
        (entry, templates)
    });
    Roster { exam, entries: entries.collect() }
}
